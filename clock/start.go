package clock

import (
	"fmt"
	"slices"
	"time"
)

// Start orders the starts of one broker (rule K1): minutes since 1970 in the upper 29 of 61 bits, and 32 random
// bits, so that two starts from one disk differ. A broker takes one above all that it knows of its own name, so
// that a later start is a higher number also where the wall clock runs backwards. Starts of different brokers are
// never compared.
type Start uint64

// MaxStart is above every start.
const MaxStart Start = 1 << 61

// farAhead is how many minutes ahead of the wall clock a start may be to count: a century. Somebody may have invented
// one that leaves no room above it; it then stays beside ours, as that of another disk would.
const farAhead = 100 * 366 * 24 * 60

// NextStart is a start at a time, above all that a clock of its broker knows of its own name and above the previous one, ""
// if there was none. Random gives its lower bits.
func NextStart(now time.Time, known Tips, previous Actor, random uint32) Start {
	above := minute(now)
	for _, d := range append(known.Clone(), Dot{Actor: previous}) {
		if s, ok := d.Actor.Start(); ok && s.counts(now) {
			above = max(above, int64(s>>32)+1)
		}
	}
	return min(Start(above)<<32|Start(random), MaxStart-1)
}

func minute(now time.Time) int64 { return max(now.Unix()/60, 0) }

// counts reports whether a start made at a time is above this one.
func (s Start) counts(now time.Time) bool { return int64(s>>32) < minute(now)+farAhead }

// Foldable lists the entries of one broker that the row of a start made at a time can list, all but those of starts
// that are too far ahead to count (rule K2).
func (c Tips) Foldable(name string, now time.Time) Tips {
	return slices.DeleteFunc(c.Of(name).Clone(), func(d Dot) bool {
		s, ok := d.Actor.Start()
		return ok && !s.counts(now)
	})
}

// Outdates reports whether a clock has an entry of another start of an actor's broker that is not before it and counts
// at a time: the actor's is then not the highest (rule K3). It never does for actors of the earlier form.
func (c Tips) Outdates(a Actor, now time.Time) bool {
	own, ok := a.Start()
	return ok && slices.ContainsFunc(c.Foldable(a.Broker(), now), func(d Dot) bool {
		s, ok := d.Actor.Start()
		return ok && d.Actor != a && s >= own
	})
}

// startDigits is the length of a start in an actor: as text, starts sort as they do as numbers.
const startDigits = 16

// Before reports whether a is an earlier start than b of the same broker (rule K1). Actors of an earlier version have no
// start, and are not before any.
func (a Actor) Before(b Actor) bool {
	s, ok := a.Start()
	t, also := b.Start()
	return ok && also && s < t && a.Broker() == b.Broker()
}

// StartActor is the actor of a broker's start, "name~0123456789abcdef".
func StartActor(name string, s Start) Actor { return Actor(fmt.Sprintf("%s~%016x", name, uint64(s))) }

// Start reads an actor's start; ok is false for one of an earlier version, whose suffix is random. Those stay
// valid forever, and imply nothing.
func (a Actor) Start() (s Start, ok bool) {
	name := a.Broker()
	if len(a) != len(name)+1+startDigits {
		return 0, false
	}
	for i := len(name) + 1; i < len(a); i++ {
		c := a[i]
		switch {
		case '0' <= c && c <= '9':
			s = s<<4 | Start(c-'0')
		case 'a' <= c && c <= 'f':
			s = s<<4 | Start(c-'a'+10)
		default:
			return 0, false
		}
	}
	return s, s < MaxStart
}
