package broker

import (
	"maps"
	"slices"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// submit takes a job: this broker becomes its owner. The same ID and spec is the
// same job; the same ID with another spec is a conflict (rule J3).
func (b *Broker) submit(in Submit) {
	if b.offer.draining {
		b.answer(in.Token, &Draining{})
		return
	}
	if len(b.unknown(&in.Spec)) > 0 {
		b.predecessors.arrive(in)
		return
	}
	b.blobs.Saw(in.Spec.Blobs()...)
	name, named := in.Spec.ModuleName()
	stands := named && in.Module != nil && in.Module.There()
	if stands {
		b.blobs.Saw(in.Module.Content.Digest)
	}
	if in.Brought != "" {
		b.blobs.Saw(in.Brought)
	}
	digest := in.Digest
	if digest == "" {
		digest = in.Spec.Digest()
	}
	key := job.Key(in.ID, digest)
	if old := b.record(key); old != nil {
		if m := old.Module(); named && m != "" && !old.Finished() && !b.blobs.Has(b.self, []job.Digest{m}) {
			b.answer(in.Token, &ModuleAbsent{Record: old})
			return
		}
		b.awaitSubmission(in, old, false)
		return
	}
	if other, _ := b.resolve(string(in.ID)); other != nil && other.ID == in.ID {
		b.answer(in.Token, &IDTaken{Record: b.acks.shown(other), Past: in.Past})
		return
	}
	if tag := in.Spec.Priority.Emergency; tag != "" && !b.emergencies.names(tag) {
		if near := emergency.Meant(tag, b.emergencies.current); near != "" {
			b.answer(in.Token, &UnknownEmergency{Name: tag, Nearest: near})
			return
		}
	}
	if refused := b.needs(versionOf(&in.Spec)); refused != nil {
		b.answer(in.Token, refused)
		return
	}
	if named && !stands {
		b.answer(in.Token, b.names.noSuchData(data.Name(name), b.names.get(data.Name(name)), in.Past))
		return
	}
	for _, path := range slices.Sorted(maps.Keys(in.Spec.NamedOutputs)) {
		if owned := b.names.notFor(data.Name(in.Spec.NamedOutputs[path]), in.Spec.Submitter); owned != nil {
			b.answer(in.Token, owned)
			return
		}
	}
	if n := len(in.Spec.NamedOutputs); n > 0 && b.names.sorted.Len()+n > mostNames {
		b.answer(in.Token, b.names.tooMany())
		return
	}
	r := b.update(key, func(dot clock.Dot, _ *job.Record) *job.Record {
		r := job.New(in.ID, in.Spec, digest, job.Stamp{Dot: dot, At: b.stamp(), Deps: in.Past.Jobs()})
		if stands {
			r.SetEnding(dataEnding(job.ID(in.Spec.Module), in.Module))
		}
		return r
	})
	if r == nil {
		return // the archive failed
	}
	b.awaitSubmission(in, r, true)
}

// newIn says what brokers of each version of the protocol can do, and none before.
var newIn = map[int]string{
	wire.V3: "counts deadlines from when a job is taken",
	wire.V4: "knows directories as inputs and outputs",
	wire.V5: "knows jobs that read what others leave",
	wire.V6: "knows named data",
	wire.V7: "keeps checkpoints",
	wire.V8: "knows modules by name",
	wire.V9: "knows of jobs which run after an array",
}

// versionOf is the version of the protocol that brokers must speak to read a spec (rule K5).
func versionOf(s *job.Spec) int {
	_, named := s.ModuleName()
	switch {
	case slices.ContainsFunc(s.After, job.ID.IsArray):
		return wire.V9
	case named:
		return wire.V8
	case s.Checkpoint != nil:
		return wire.V7
	case len(s.Data()) > 0 || len(s.NamedOutputs) > 0:
		return wire.V6
	case len(s.Sources()) > 0:
		return wire.V5
	case s.HasDirectories():
		return wire.V4
	case s.DeadlineIn != 0:
		return wire.V3
	}
	return wire.Lowest
}

// submitAll takes the jobs of a batch, in their order.
func (b *Broker) submitAll(in Batch) {
	for _, one := range in {
		b.submit(one)
	}
}

// declare takes a declaration of a client, and answers when it is on enough disks.
func (b *Broker) declare(in Declare) {
	if in.Declaration.Clear != "" {
		b.clear(Clear{Token: in.Token, ID: string(in.Declaration.Clear), Force: true})
		return
	}
	if id, was, ok := b.emergencies.declare(in); ok {
		b.awaitDeclaration(in.Token, id, was, was == nil)
	}
}

// clear ends an emergency for good, and answers when that is on enough disks.
func (b *Broker) clear(in Clear) {
	if id, ok := b.emergencies.clear(in); ok {
		b.awaitDeclaration(in.Token, id, nil, true)
	}
}
