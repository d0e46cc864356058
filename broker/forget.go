package broker

import (
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// forgetWith drops a record that a peer has forgotten (rules L4, L9), unless it has
// been created again since.
func (b *Broker) forgetWith(ref ledger.Ref, peer clock.Vector) {
	if ref.Kind == kind.Emergency {
		b.emergencies.forgetWith(emergency.ID(ref.Key), peer)
	}
	if ref.Kind != kind.Job {
		return
	}
	if r := b.record(ref.Key); r != nil && ledger.CreatedWithin(r, peer) {
		b.forget(r)
		b.stats.Zombies++
	}
}

// forget drops a job, and all that this broker does for it.
func (b *Broker) forget(r *job.Record) {
	key := r.Key()
	if err := b.ledger.Forget(kind.JobRef(key)); err != nil {
		b.fail(err)
		return
	}
	b.jobs.remove(r)
	b.attempts.forget(key)
	b.acks.forget(key)
	b.tellWaiters(key)
}

// sweep forgets finished jobs that are old enough, or too many, and that are stable
// everywhere: then nobody can bring one back as unfinished (rules L8, F3).
func (b *Broker) sweep() {
	if !b.sweeper.begin() {
		return
	}
	b.emergencies.sweep()
	for _, r := range b.sweeper.round() {
		b.forget(r)
		b.stats.Forgotten++
	}
}
