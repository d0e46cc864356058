package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// clocks are what time it is for a broker: for waits, for stamps, and for instants that all
// brokers share.
//
// A sensor box without battery starts in 1970, and without uplink nobody sets it right. Its
// emergencies must not be over before they reach anybody, nor others' never begin there: for
// emergencies, whose ends are instants that all brokers share, the time is that of the majority
// (Lamport and Melliar-Smith, "Synchronizing Clocks in the Presence of Faults", 1985): the city's
// time. Everything else of a broker goes by its own clocks.
type clocks struct {
	now    time.Time // never goes back; all waits are measured by it
	wall   time.Time // the machine's clock; it may be set back
	hybrid clock.Hybrid
	skew   time.Duration // how far a clock may be off before it is not followed (rule I3)

	recalled clock.Hybrid // the highest stored stamp of others, until the first Tick

	drift   time.Duration // of the city's time from wall
	driftAt time.Time     // when it was last looked at
}

// tick says what time it is. It reports whether that was not known before.
func (c *clocks) tick(in Tick) (first bool) {
	first = c.now.IsZero()
	c.now, c.wall = in.Now, in.Wall
	if c.wall.IsZero() {
		c.wall = c.now
	}
	if first {
		c.hybrid.Observe(c.recalled, c.wall, c.skew)
	}
	return first
}

// started reports whether it is known what time it is.
func (c *clocks) started() bool { return !c.now.IsZero() }

// stamp ticks the hybrid clock for a local event.
func (c *clocks) stamp() clock.Hybrid { return c.hybrid.Tick(c.wall) }

// observe takes in a stamp of another broker.
func (c *clocks) observe(h clock.Hybrid) { c.hybrid.Observe(h, c.wall, c.skew) }

// recall takes in a stamp that was stored before this start: one of our own, so that the next are
// higher; one of others at the first Tick, which says what time it is, as far as it is not too
// far ahead (rule I3).
func (c *clocks) recall(at clock.Hybrid, own bool) {
	if own {
		c.hybrid = max(c.hybrid, at)
	} else {
		c.recalled = max(c.recalled, at)
	}
}

// cityTime is what time it is for emergencies: the machine's clock, unless that is further from
// the median of all live brokers' clocks than the skew that is allowed. Then it is that median.
func (c *clocks) cityTime() time.Time { return c.wall.Add(c.drift) }

// cityStamp is the same as a stamp; never 0, which means none, also where a clock shows 1970 or less.
func (c *clocks) cityStamp() clock.Hybrid { return max(1, clock.HybridAt(c.cityTime())) }

// driftEvery bounds how often the others' clocks are looked at.
const driftEvery = time.Second

// lookAtDrift reckons how far the machine's clock is from the majority's, given how far the
// others' are from it. Of two in the middle the nearer to ours is taken: one other alone does not
// outvote us. It reports whether the city's time has changed.
func (c *clocks) lookAtDrift(others func() []time.Duration) (changed bool) {
	if c.now.Sub(c.driftAt) < driftEvery {
		return false
	}
	c.driftAt = c.now
	offsets := append(others(), 0)
	slices.Sort(offsets)
	low, high := offsets[(len(offsets)-1)/2], offsets[len(offsets)/2]
	drift := low
	if high.Abs() < low.Abs() {
		drift = high
	}
	if drift.Abs() <= c.skew {
		drift = 0
	}
	change := drift - c.drift
	if change.Abs() <= driftEvery { // less is the messages' way
		return false
	}
	c.drift = drift
	return true
}
