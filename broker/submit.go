package broker

import (
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// submit takes a job: this broker becomes its owner. The same ID and spec is the
// same job; the same ID with another spec is a conflict (rule J3).
func (b *Broker) submit(in Submit) {
	if b.draining {
		b.answer(in.Token, &Draining{})
		return
	}
	if missing := b.unknown(&in.Spec); len(missing) > 0 {
		b.arrive(in)
		return
	}
	for _, d := range in.Spec.Blobs() {
		b.local.add(d, b.now)
	}
	digest := in.Digest
	if digest == "" {
		digest = in.Spec.Digest()
	}
	key := job.Key(in.ID, digest)
	if old := b.record(key); old != nil {
		b.gateSubmission(in, old, false)
		return
	}
	if other, _ := b.resolve(string(in.ID)); other != nil && other.ID == in.ID {
		b.answer(in.Token, &IDTaken{Record: b.shown(other), Past: in.Past})
		return
	}
	r := b.update(key, func(dot clock.Dot, _ *job.Record) *job.Record {
		return job.New(in.ID, in.Spec, digest, job.Stamp{Dot: dot, At: b.stamp(), Deps: in.Past.Jobs()})
	})
	if r == nil {
		return // the archive failed
	}
	b.gateSubmission(in, r, true)
}

// gateSubmission answers when enough brokers hold the job (rule A1).
func (b *Broker) gateSubmission(in Submit, r *job.Record, created bool) {
	least := in.Spec.MinReplicas
	b.spread(in.Spec.Blobs(), least)
	for _, name := range b.members.Ring()[:min(len(b.members.Ring()), max(0, least-1))] {
		if !b.peers.HoldsUpdate(name, r.Created[0].Dot) {
			b.peers.TellNow(name)
		}
	}
	b.hold(&gate{
		key: r.Key(), dot: r.Created[0].Dot, blobs: in.Spec.Blobs(), since: b.now,
		deadline: b.now.Add(b.cfg.AckTimeout), token: in.Token, created: created, record: r, past: in.Past,
		least: least, final: b.now.Add(max(in.Timeout, b.cfg.AckTimeout)),
	})
}

// abandon drops those that wait with this token.
func (b *Broker) abandon(t Token) {
	for i, g := range b.order {
		if g.token == t && !g.verdict() {
			b.order = append(b.order[:i], b.order[i+1:]...)
			break
		}
	}
	b.arriving = slices.DeleteFunc(b.arriving, func(w arriving) bool { return w.in.Token == t })
	b.catching = slices.DeleteFunc(b.catching, func(w catching) bool { return w.token == t })
	if b.drainer == t {
		b.drainer = 0
	}
	b.waiters.drop(t)
}
