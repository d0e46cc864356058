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
	b.blobs.Saw(in.Spec.Blobs()...)
	digest := in.Digest
	if digest == "" {
		digest = in.Spec.Digest()
	}
	key := job.Key(in.ID, digest)
	if old := b.record(key); old != nil {
		b.awaitSubmission(in, old, false)
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
	b.awaitSubmission(in, r, true)
}

// abandon drops those that wait with this token.
func (b *Broker) abandon(t Token) {
	if t != 0 {
		b.acks.Drop(func(w ackWaiter) bool { return w.token() == t })
	}
	b.arriving = slices.DeleteFunc(b.arriving, func(w arriving) bool { return w.in.Token == t })
	b.catching = slices.DeleteFunc(b.catching, func(w catching) bool { return w.token == t })
	if b.drainer == t {
		b.drainer = 0
	}
	b.waiters.drop(t)
}
