package broker

import (
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// balancer looks for own jobs that queue while others are idle (rule J9).
type balancer struct {
	*core
	ownership *ownership

	next    time.Time            // when it looks again
	waiting map[string]wait      // own jobs that waited in vain at the last look
	hurried map[string]time.Time // when urgent jobs were last moved, for a round
}

// wait is how long a job has waited where it is placed.
type wait struct {
	attempt job.Attempt
	since   time.Time
}

// How owners look for jobs that queue while others are idle (rule J9).
const (
	balanceEvery = 5 * time.Second
	balanceMost  = 64                     // jobs that move in one round
	settleAfter  = 300 * time.Millisecond // until brokers have said what they do about what has become urgent
)

// balance places jobs elsewhere that have queued for a whole round at a broker that
// has more than it can run, when another could start them at once; and those that have loaded for so long, when another has
// compiled their module (rules J9, J15).
func (b *balancer) balance() {
	due := !b.now.Before(b.next)
	if look := b.ownership.look; due || !look.IsZero() && !b.now.Before(look) {
		b.ownership.look = time.Time{}
		b.hurry()
	}
	if !due {
		return
	}
	b.next = b.now.Add(balanceEvery)
	b.reviewPrecedence()
	before := b.waiting
	b.waiting = map[string]wait{}
	if b.offer.draining || b.waits() == 0 || !b.somebodyIdle() {
		return
	}
	moved := 0
	for _, ref := range b.liveJobs(b.waitsInVain) {
		r := b.record(ref.Key)
		if r == nil {
			continue
		}
		w := before[ref.Key]
		if w.attempt != r.Place.Attempt {
			b.waiting[ref.Key] = wait{r.Place.Attempt, b.now}
			continue
		}
		name, actor, ok := b.better(r, b.now.Sub(w.since))
		if !ok || moved == balanceMost {
			b.waiting[ref.Key] = w
			continue
		}
		b.stats.Rebalanced++
		b.ownership.placeAt(r, name, actor, r.Place.Try, 0)
		moved++
	}
}

// better chooses another broker for a job that has waited so long: one that could start it at once, and where it loads now,
// one that need not compile its module.
func (b *balancer) better(r *job.Record, waited time.Duration) (name string, actor clock.Actor, ok bool) {
	if !r.Loads() {
		name, actor, ok = b.ownership.choose(r, waited)
	} else {
		name, actor, ok = b.ownership.chooseWarm(r)
	}
	return name, actor, ok && name != r.Place.Broker && b.fits(name, r.Spec.Resources)
}

// waits is how many own jobs queue or load.
func (b *balancer) waits() int {
	return b.jobs.owned[b.self][job.StateQueued] + b.jobs.owned[b.self][job.StateLoading]
}

func (b *balancer) due() time.Time {
	if b.waits() == 0 {
		return b.ownership.look
	}
	return sooner(b.next, b.ownership.look)
}

// waitsInVain reports whether an own job waits at a broker that is full, or loads.
func (b *balancer) waitsInVain(r *job.Record) bool {
	if !r.Spec.MayRedeploy() || !b.ours(r.Owner.Actor) || r.Place.NotBefore > b.cityNow() {
		return false
	}
	s := r.State()
	return s == job.StateLoading || s == job.StateQueued && !b.fits(r.Place.Broker, job.Resources{})
}

// smallest is what the smallest job asks for.
var smallest = job.Resources{CPU: 1, Memory: 1}

// somebodyIdle reports whether any broker has room for a small job.
func (c *core) somebodyIdle() bool {
	if c.fits(c.self, smallest) {
		return true
	}
	for _, name := range c.members.Names() {
		if c.members.Alive(name) && !c.members.Leaves(name) && c.fits(name, smallest) {
			return true
		}
	}
	return false
}
