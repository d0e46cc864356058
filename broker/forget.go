package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// How finished jobs are looked through for what may be forgotten (rule L8).
const (
	sweepEvery = 10 * time.Second
	sweepSoon  = time.Second // when there was more than one round takes
	sweepMost  = 512         // jobs a round: each may be a look at the disk
)

// sweep forgets finished jobs that are old enough, or too many, and that every member
// is known to hold: then nobody can bring one back as unfinished (rule L8, causal
// stability).
func (b *Broker) sweep() {
	if b.now.Before(b.sweepAt) {
		return
	}
	b.sweepAt = b.now.Add(sweepEvery)
	b.sweepEmergencies()
	if b.cfg.Retention <= 0 {
		return
	}
	limit := clock.At(b.wall.Add(-b.cfg.Retention))
	excess := 0
	if n := b.cfg.RetentionCount; n > 0 {
		excess = b.jobs.byEnd.Len() - n
	}
	var due []endItem
	more := false
	b.jobs.byEnd.AscendGreaterOrEqual(b.sweepFrom, func(it endItem) bool {
		if it.at > limit && excess <= 0 {
			return false
		}
		if more = len(due) == sweepMost; more {
			b.sweepFrom = it
			return false
		}
		excess--
		due = append(due, it)
		return true
	})
	if more {
		b.sweepAt = b.now.Add(sweepSoon)
	} else {
		b.sweepFrom = endItem{}
	}
	for _, it := range due {
		if r := b.record(it.key); r != nil && len(b.jobs.wanted[r.ID]) == 0 && b.peers.EverybodyCovers(r.Dots) {
			b.forget(r)
			b.stats.Forgotten++
		}
	}
}

func (b *Broker) sweepDue() time.Time {
	if b.cfg.Retention <= 0 || b.jobs.byEnd.Len() == 0 {
		return time.Time{}
	}
	return b.sweepAt
}

// forgetWith drops a record that a peer has forgotten (rules L4, L9), unless it has
// been created anew since.
func (b *Broker) forgetWith(ref ledger.Ref, peer clock.Vector) {
	if ref.Kind == kind.Emergency {
		if r := b.emergencies.known[emergency.ID(ref.Key)]; r != nil && !r.IsHint() && r.CreatedWithin(peer) {
			b.forgetEmergency(r.ID)
			b.stats.Zombies++
		}
	}
	if ref.Kind != kind.Job {
		return
	}
	if r := b.record(ref.Key); r != nil && r.CreatedWithin(peer) {
		b.forget(r)
		b.stats.Zombies++
	}
}

// forget drops a job, and all that this broker does for it.
func (b *Broker) forget(r *job.Record) {
	key := r.Key()
	if err := b.ledger.Forget(kind.JobRef(key)); err != nil {
		b.err = err
		return
	}
	b.jobs.remove(r)
	if x := b.runs[key]; x != nil {
		b.drop(key, x)
	}
	delete(b.acks.withheld, key)
	delete(b.cautious, key)
	delete(b.pauses, key)
	b.tellWaiters(key)
}
