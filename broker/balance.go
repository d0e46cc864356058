package broker

import (
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// How owners look for jobs that queue while others are idle (rule J9).
const (
	balanceEvery = 5 * time.Second
	balanceMost  = 64 // jobs that move in one round
)

// balance places jobs elsewhere that have queued for a whole round at a broker that
// has more than it can run, when another could start them at once (rule J9).
func (b *Broker) balance() {
	if b.now.Before(b.balanceAt) {
		return
	}
	b.balanceAt = b.now.Add(balanceEvery)
	before := b.queuing
	b.queuing = map[string]job.Attempt{}
	if b.draining || b.jobs.owned[b.self][job.StateQueued] == 0 || !b.somebodyIdle() {
		return
	}
	moved := 0
	for _, ref := range b.ledger.Live(func(r ledger.Record) bool {
		rec, ok := r.(*job.Record)
		return ok && b.queuesInVain(rec)
	}) {
		r := b.record(ref.Key)
		if r == nil || before[ref.Key] != r.Place.Attempt {
			if r != nil {
				b.queuing[ref.Key] = r.Place.Attempt
			}
			continue
		}
		name, actor, ok := b.choose(r)
		if !ok || name == r.Place.Broker || moved == balanceMost || !b.fits(name, r.Spec.Resources) {
			b.queuing[ref.Key] = r.Place.Attempt
			continue
		}
		b.stats.Rebalanced++
		b.placeAt(r, name, actor, r.Place.Try, 0)
		moved++
	}
}

func (b *Broker) balanceDue() time.Time {
	if b.jobs.owned[b.self][job.StateQueued] == 0 {
		return time.Time{}
	}
	return b.balanceAt
}

// queuesInVain reports whether an own job waits at a broker that is full.
func (b *Broker) queuesInVain(r *job.Record) bool {
	return r.Spec.MayRedeploy() && r.Owner.Actor == b.cfg.Actor && r.State() == job.StateQueued && r.Place.NotBefore <= clock.At(b.wall) &&
		!b.fits(r.Place.Broker, job.Resources{})
}

// fits reports whether a broker could start a job at once, next to all that is
// placed there.
func (b *Broker) fits(name string, want job.Resources) bool {
	return b.capacity(name).Minus(b.jobs.load[name]).Fits(want)
}

func (b *Broker) capacity(name string) job.Resources {
	if name == b.self {
		return b.cfg.Capabilities.Capacity
	}
	return b.members.Metadata(name).Capabilities.Capacity
}

// somebodyIdle reports whether any broker has room for a small job.
func (b *Broker) somebodyIdle() bool {
	small := job.Resources{CPU: 1, Memory: 1}
	if b.fits(b.self, small) {
		return true
	}
	for _, name := range b.members.Names() {
		if b.members.Alive(name) && !b.members.Leaves(name) && b.fits(name, small) {
			return true
		}
	}
	return false
}
