package membership

import (
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// A message may outlive its sender by many seconds: the kernel of a broker that was killed goes
// on repeating what it had sent. When the same name is there again with a disk that was rolled
// back, a message of the superseded incarnation can bring a verdict of which nobody knew while
// all agreed on another, and a result that was shown as firm would change (rules I2, A3). So an
// incarnation that has a successor, as SWIM says, is not heard any more. What it had written and
// its successor's disk has kept comes from there; what that disk lacks was never acknowledged.
type superseded struct {
	known map[clock.Actor]bool
	order []clock.Actor // the earliest first
}

// maxSuperseded is more than restart while a message is on its way.
const maxSuperseded = 1024

// Superseded reports whether an actor has a successor: its messages are not heard.
func (m *Membership) Superseded(a clock.Actor) bool { return m.superseded.known[a] }

// note compares the actors of one member in two rosters; "" is none. The present one is not
// superseded: SWIM may have been told of an earlier start again, for a moment.
func (s *superseded) note(old, now clock.Actor) {
	if old != "" && now != "" && old != now {
		s.add(old)
		s.drop(now)
	}
}

func (s *superseded) add(a clock.Actor) {
	if s.known[a] {
		return
	}
	if s.known == nil {
		s.known = map[clock.Actor]bool{}
	}
	s.known[a] = true
	if s.order = append(s.order, a); len(s.order) > maxSuperseded {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
}

func (s *superseded) drop(a clock.Actor) {
	if s.known[a] {
		delete(s.known, a)
		s.order = slices.DeleteFunc(s.order, func(x clock.Actor) bool { return x == a })
	}
}
