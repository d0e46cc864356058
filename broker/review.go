package broker

import (
	"time"

	"github.com/urban-compute/ucp/job"
)

// maxReviews is how often one job is looked at in a step.
const maxReviews = 32

// reviewAll reviews what was marked, and what those reviews mark, until nothing
// is left to mend. A review that has nothing to do changes nothing, so this
// ends.
func (b *Broker) reviewAll() {
	if !b.started() {
		return // before the first Tick
	}
	times := map[string]int{}
	for b.err == nil {
		key, ok := b.reviews.next()
		if !ok {
			return
		}
		if times[key]++; times[key] > maxReviews {
			// Two rules undo each other, which is a fault of this program. The other jobs must not suffer.
			b.stats.Spins++
			b.reviews.at(b.now.Add(time.Second), key)
			continue
		}
		if r := b.record(key); r != nil {
			b.reviewJob(r)
		}
	}
}

// reviewJob compares what the record says with what this broker does, and mends
// the difference. It is driven by the state and not by the event that led there,
// so that a lost or repeated message makes no difference.
func (b *Broker) reviewJob(r *job.Record) {
	b.attempts.review(r)
	switch {
	case r.Finished() || b.suspect(r):
	case b.createAgain(r):
	case r.Owner.Broker != b.self:
		if b.members.JudgeLost(b.now, r.Owner.Broker) && b.successor(r.Key(), "") == b.self && b.ownership.mayMove(r.Key()) {
			b.stats.TakenOver++
			b.ownership.move(r.Key())
			b.ownership.assign(r, b.self, b.process())
		} else if len(r.Spec.After) > 0 {
			b.predecessors.remind(r)
		}
	case !b.ours(r.Owner.Actor):
		// It was ours before our start, and is again without delay. A placement with a broker
		// that lives stays: its attempt goes on (rules J6, J7).
		b.ownership.assign(r, b.self, b.process())
	case b.ownership.accept(r):
	case b.offer.draining:
		b.ownership.handOver(r)
	case b.predecessors.follow(r):
	case b.ownership.late(r):
	case b.ownership.adopt(r):
	case b.ownership.needsPlace(r):
		b.ownership.replace(r)
	}
}
