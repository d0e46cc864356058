package broker

import (
	"time"

	"github.com/urban-compute/ucp/job"
)

// balancer looks for own jobs that queue while others are idle (rule J9).
type balancer struct {
	*core
	ownership *ownership

	next    time.Time              // when it looks again
	queuing map[string]job.Attempt // own jobs that queued in vain at the last look
}

// How owners look for jobs that queue while others are idle (rule J9).
const (
	balanceEvery = 5 * time.Second
	balanceMost  = 64 // jobs that move in one round
)

// balance places jobs elsewhere that have queued for a whole round at a broker that
// has more than it can run, when another could start them at once (rule J9).
func (b *balancer) balance() {
	if b.now.Before(b.next) {
		return
	}
	b.next = b.now.Add(balanceEvery)
	before := b.queuing
	b.queuing = map[string]job.Attempt{}
	if b.offer.draining || b.jobs.owned[b.self][job.StateQueued] == 0 || !b.somebodyIdle() {
		return
	}
	moved := 0
	for _, ref := range b.liveJobs(b.queuesInVain) {
		r := b.record(ref.Key)
		if r == nil || before[ref.Key] != r.Place.Attempt {
			if r != nil {
				b.queuing[ref.Key] = r.Place.Attempt
			}
			continue
		}
		name, actor, ok := b.ownership.choose(r)
		if !ok || name == r.Place.Broker || moved == balanceMost || !b.fits(name, r.Spec.Resources) {
			b.queuing[ref.Key] = r.Place.Attempt
			continue
		}
		b.stats.Rebalanced++
		b.ownership.placeAt(r, name, actor, r.Place.Try, 0)
		moved++
	}
}

func (b *balancer) due() time.Time {
	if b.jobs.owned[b.self][job.StateQueued] == 0 {
		return time.Time{}
	}
	return b.next
}

// queuesInVain reports whether an own job waits at a broker that is full.
func (b *balancer) queuesInVain(r *job.Record) bool {
	return r.Spec.MayRedeploy() && b.ours(r.Owner.Actor) && r.State() == job.StateQueued && r.Place.NotBefore <= b.cityNow() &&
		!b.fits(r.Place.Broker, job.Resources{})
}

// somebodyIdle reports whether any broker has room for a small job.
func (c *core) somebodyIdle() bool {
	small := job.Resources{CPU: 1, Memory: 1}
	if c.fits(c.self, small) {
		return true
	}
	for _, name := range c.members.Names() {
		if c.members.Alive(name) && !c.members.Leaves(name) && c.fits(name, small) {
			return true
		}
	}
	return false
}
