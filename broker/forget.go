package broker

import (
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/job"
)

// forget drops a job, and all that this broker does for it.
func (b *Broker) forget(r *job.Record) {
	b.fail(b.ledger.Forget(kind.JobRef(r.Key())))
	b.dropped(r)
	b.endDispute(r.Key())
}

// reduce keeps only the stub of a job that has ended (rule M4). If its end is in doubt, it stays so (rule F3).
func (b *Broker) reduce(r *job.Record) {
	b.fail(b.ledger.Reduce(kind.JobRef(r.Key())))
	b.dropped(r)
}

// dropped says that this broker has nothing to do with a job any more.
func (b *Broker) dropped(r *job.Record) {
	key := r.Key()
	if b.err != nil {
		return
	}
	if !r.IsStub() {
		b.jobs.remove(r)
		if r.Finished() {
			b.dropSince(kind.JobRef(key))
		}
	}
	if !r.Finished() {
		b.decisions.rerank(r.Spec.After) // nobody waits for these on its behalf any more (rule C5)
	}
	delete(b.disputes.again, key)
	delete(b.deadlines, key)
	b.attempts.forget(key)
	b.acks.forget(key)
	b.authors.forget(key)
	b.tellWaiters(key)
}

// quarantinedFor is how many sync intervals a record that can't be read is kept aside at least after it last came: whoever holds it
// sends it in each, or in every other one when it is busy (rules L10, S2, S5).
const quarantinedFor = 3

// sweep forgets finished jobs that are old enough, or too many, and that are stable
// everywhere: then nobody can bring one back as unfinished (rules L8, F3). Of those that somebody may
// not know of it keeps the stubs (rule M4).
func (b *Broker) sweep() {
	if !b.sweeper.begin() {
		return
	}
	b.emergencies.sweep()
	b.names.sweep()
	b.ledger.TrimRows()
	b.sweepAside()
	if b.cfg.Retention > 0 {
		b.stats.Unread += uint64(b.ledger.DropQuarantined(b.up, max(b.cfg.Retention, quarantinedFor*b.cfg.SyncInterval)))
	}
	forget, reduce, seal := b.sweeper.round(b.sealsOrphans())
	for _, r := range forget {
		b.forget(r)
		b.stats.Forgotten++
	}
	for _, r := range reduce {
		b.reduce(r)
	}
	for _, r := range seal {
		b.seal(r.Key(), *r.Verdict())
	}
}
