package broker

import (
	"time"

	"github.com/urban-compute/ucp/job"
)

// pace spaces out how often this broker moves one job: takes it over, or places it again. Brokers that see
// each other differently may undo one another's moves; so each move of a job is followed by a pause that is
// twice as long as the one before (rule P2). It goes by what happened here, on a clock that never goes back.
type pace struct{ moved map[string]moves }

// moves of one job.
type moves struct {
	count int       // of lately
	last  time.Time // the latest
	next  time.Time // not before that
}

const (
	moveMemory = 10 * time.Minute // after so long a move is the first again
	longestGap = 5 * time.Minute  // between two moves
)

// mayMove reports whether a job may be moved now; if not, it is looked at again when it may. To take a job over
// and to place it again at once is one move.
func (o *ownership) mayMove(key string) bool {
	m := o.pace.moved[key]
	if o.now.Before(m.next) && !o.now.Equal(m.last) {
		o.stats.Paced++
		o.reviews.at(m.next, key)
		return false
	}
	return true
}

// move notes that a job was moved.
func (o *ownership) move(key string) {
	m := o.pace.moved[key]
	switch since := o.now.Sub(m.last); {
	case since == 0:
		return
	case since > moveMemory:
		m.count = 0
	}
	m.count++
	m.last = o.now
	m.next = o.now.Add(o.gap(m.count))
	o.pace.moved[key] = m
}

// gap is the pause after the n-th move, a little random, so that brokers that move the same job part.
func (o *ownership) gap(n int) time.Duration {
	longest := min(o.cfg.RedeployDelay<<min(n, 16), longestGap)
	return longest - time.Duration(o.random.Fraction()*float64(longest)/4)
}

// putOff puts a move off when a record comes that a broker has changed which is lost here: it was there after
// we had last heard of it, and rather we were cut off from it than that it has died (rule J7). Only it can say
// so itself (rule P1): it is asked at once, whatever came of that before.
func (o *ownership) putOff(old, r *job.Record) {
	for _, d := range r.Dots {
		name := d.Actor.Broker()
		if name != r.Owner.Broker && name != r.Place.Broker || !o.members.Lost(name) {
			continue
		}
		if old == nil || old.Dots.Get(d.Actor) < d.Counter {
			m := o.pace.moved[r.Key()]
			if next := o.now.Add(max(o.cfg.IsolationDelay, o.cfg.RedeployDelay)); m.next.Before(next) {
				m.next = next
				o.pace.moved[r.Key()] = m
			}
			o.peers.Retry(name)
		}
	}
}

// ended forgets the moves of a job that has ended.
func (o *ownership) ended(key string) { delete(o.pace.moved, key) }
