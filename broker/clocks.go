package broker

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/clock"
)

// clocks are what time it is for a broker: for waits, for ages, for stamps, and for instants that
// all brokers share (rules T1, T2).
//
//   - now never goes back; all waits within one start are measured by it.
//   - up is the broker's uptime over all its starts: ages are measured by it, from when this broker
//     first held a thing. It stands still while the broker is down, and no machine's clock moves it.
//   - The city's time is what shared instants go by (deadlines, ends of emergencies, retries), and
//     what the hybrid clock ticks on: this broker's own clock, put right by the median of the members'
//     (Lamport and Melliar-Smith, "Synchronizing Clocks in the Presence of Faults", 1985).
//
// A sensor box without a battery starts in 1970, and without an uplink nobody sets it right. A wall
// clock that is behind what this broker knew before is unset: it has no vote, and the broker's own
// clock goes on from what was known.
type clocks struct {
	now    time.Time // never goes back
	wall   time.Time // the machine's clock; it may be set at any time
	hybrid clock.Hybrid
	skew   time.Duration // how far a clock may be off before it is not followed (rules I3, T2)

	recalled clock.Hybrid // the highest stored stamp of others, until the first tick
	stamped  clock.Hybrid // the highest of our own, until then

	start time.Time     // now, at this start
	began time.Time     // now, when up was 0
	up    time.Duration // uptime of this broker, over all its starts

	city     time.Time     // what time it is, as all brokers are to see it
	off      time.Duration // of the city's time from the machine's clock when both were stored; until the first tick
	unset    bool          // the wall clock is behind what was known before
	known    time.Time     // what was known when it was found unset
	knownAt  time.Time     // by now
	drift    time.Duration // of the city's time from our own clock
	looked   time.Time     // when the members' clocks were last looked at
	disputed bool          // the clocks that vote differ, and none of them is in the middle
}

const (
	// reading is how exactly another's clock is read: less is the messages' way.
	reading = 2 * time.Second
	// lookEvery bounds how often the members' clocks are looked at.
	lookEvery = time.Second
)

// neverSet is before any time that a machine's clock shows once it was set.
var neverSet = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// tick says what time it is; others lists what the members' clocks show then. It reports whether that was not
// known before, and by how much the city's time has changed otherwise than by passing. Time does not run back: where it
// was ahead it goes at half its speed until it is right. Only where it was so far ahead that a clock must have been wrong
// it leaps back, as it leaps forward where it was behind.
func (c *clocks) tick(in Tick, others func() []replication.Reading) (first bool, leapt time.Duration) {
	first = !c.started()
	wall := in.Wall
	if wall.IsZero() {
		wall = in.Now
	}
	wall = wall.Round(0) // without a monotonic reading, which would hide that the clock was set
	set := false         // the machine's clock was
	var passed time.Duration
	if first {
		c.start, c.began = in.Now, in.Now.Add(-c.up)
		c.city, c.drift = c.atStart(wall)
	} else {
		passed = in.Now.Sub(c.now)
		set = wall.Sub(c.wall.Add(passed)).Abs() > reading
		c.city = c.city.Add(passed)
	}
	was := c.city
	c.now, c.wall = in.Now, wall
	c.up = max(c.up, c.now.Sub(c.began))
	judged := c.judge(set)
	if set || judged || c.now.Sub(c.looked) >= lookEvery {
		c.looked = c.now
		c.follow(others())
	}
	c.city = c.own().Add(c.drift)
	if first {
		c.hybrid.Observe(c.recalled, c.city, c.skew)
	}
	leapt = c.city.Sub(was)
	if !first && leapt < 0 && leapt >= -c.skew {
		c.city, leapt = was.Add(max(leapt, -passed/2)), 0
	}
	if leapt.Abs() <= reading {
		leapt = 0
	}
	return first, leapt
}

// atStart is what time it must be when this broker starts, by what was stored: the machine's clock, or that
// clock as far off as it was before, whichever makes this broker have been down the shorter. If neither
// is possible, the machine's clock is unset, and what was stored goes on.
func (c *clocks) atStart(wall time.Time) (city time.Time, drift time.Duration) {
	if c.city.IsZero() { // an older version has stored only stamps
		c.city = c.stamped.Time()
	}
	if c.city.Before(neverSet) {
		c.city = neverSet
	}
	corrected, earliest := wall.Add(c.off), c.city.Add(-c.skew)
	switch possible := !wall.Before(earliest); {
	case !corrected.Before(earliest) && (!possible || corrected.Before(wall)):
		return corrected, c.off
	case possible:
		return wall, 0
	}
	return c.city, 0
}

// judge compares the machine's clock with what time it must be. One that is behind is unset: our own clock goes
// on from what was known. One that was set to what time it is needs no correction any more. It reports whether
// the clock is judged otherwise than before.
func (c *clocks) judge(set bool) (changed bool) {
	unset := c.wall.Before(c.city.Add(-c.skew))
	switch {
	case unset && !c.unset:
		c.known, c.knownAt, c.drift = c.city, c.now, 0
	case c.unset && !unset, set && c.wall.Sub(c.city).Abs() < c.wall.Add(c.drift).Sub(c.city).Abs():
		c.drift = 0
	}
	changed, c.unset = unset != c.unset, unset
	return changed
}

// own is what this broker's own clock shows: the machine's, or while that is unset what was known,
// gone on since.
func (c *clocks) own() time.Time {
	if c.unset {
		return c.known.Add(c.now.Sub(c.knownAt))
	}
	return c.wall
}

// follow reckons how far our own clock is from the city's time. Where ours has a vote that is the median of all
// clocks that have one; of two in the middle the nearer to what the time was until now is taken, and who has the
// only vote goes on as before: so one other does not outvote us, and nobody leaps when others leave. Where ours
// has none, it is the median of what those with a vote take for the city's time, or of all if nobody has one.
func (c *clocks) follow(others []replication.Reading) {
	c.disputed = false
	votes := slices.ContainsFunc(others, func(r replication.Reading) bool { return !r.Unset })
	if len(others) == 0 || !votes && !c.unset {
		return
	}
	var voted []time.Duration
	for _, r := range others {
		switch {
		case votes && r.Unset:
		case c.unset:
			voted = append(voted, r.Near(r.City, c.own(), c.drift))
		default:
			voted = append(voted, r.Near(r.Own, c.own(), c.drift))
		}
	}
	if votes != c.unset { // ours is one of them
		voted = append(voted, 0)
	}
	slices.Sort(voted)
	low, high := voted[(len(voted)-1)/2], voted[len(voted)/2]
	c.disputed = high-low > c.skew
	drift := low
	if (high - c.drift).Abs() < (low - c.drift).Abs() {
		drift = high
	}
	if (drift - c.drift).Abs() > reading {
		c.drift = drift
	}
}

// started reports whether it is known what time it is.
func (c *clocks) started() bool { return !c.now.IsZero() }

// stamp ticks the hybrid clock for a local event.
func (c *clocks) stamp() clock.Hybrid { return c.hybrid.Tick(c.city) }

// observe takes in a stamp of another broker.
func (c *clocks) observe(h clock.Hybrid) { c.hybrid.Observe(h, c.city, c.skew) }

// recall takes in a stamp that was stored before this start: one of our own, so that the next are
// higher; one of others at the first Tick, which says what time it is, as far as it is not too
// far ahead (rule I3).
func (c *clocks) recall(at clock.Hybrid, own bool) {
	if own {
		c.hybrid, c.stamped = max(c.hybrid, at), max(c.stamped, at)
	} else {
		c.recalled = max(c.recalled, at)
	}
}

// cityTime is what time it is for all brokers.
func (c *clocks) cityTime() time.Time { return c.city }

// cityNow is the same in milliseconds.
func (c *clocks) cityNow() clock.Time { return clock.At(c.city) }

// cityStamp is the same as a stamp; never 0, which means none, also where a clock shows 1970 or less.
func (c *clocks) cityStamp() clock.Hybrid { return max(1, clock.HybridAt(c.city)) }

// in is when, by now, it will be that time in the city.
func (c *clocks) in(at clock.Time) time.Time { return c.now.Add(at.Time().Sub(c.city)) }

// encode gives what is stored of the clocks, in milliseconds: uptime, the city's time, and how far that is ahead
// of the machine's clock.
func (c *clocks) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(c.up.Milliseconds()))
	b = binary.AppendUvarint(b, uint64(max(c.city.UnixMilli(), 0)))
	return binary.AppendVarint(b, c.city.Sub(c.wall).Milliseconds())
}

// decode takes in what was stored before this start.
func (c *clocks) decode(b []byte) error {
	up, n := binary.Uvarint(b)
	at, m := binary.Uvarint(b[max(n, 0):])
	off, k := binary.Varint(b[max(n, 0)+max(m, 0):])
	if n <= 0 || m <= 0 || k <= 0 || up > maxMillis || at > maxMillis || max(off, -off) > int64(maxMillis) {
		return fmt.Errorf("the stored clocks are %x", b)
	}
	c.up, c.off = time.Duration(up)*time.Millisecond, time.Duration(off)*time.Millisecond
	c.city = time.UnixMilli(int64(at)).UTC()
	return nil
}

// maxMillis is the longest time.Duration, in milliseconds; as an instant it is the year 2262.
const maxMillis = uint64(1<<63-1) / uint64(time.Millisecond)
