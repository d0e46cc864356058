package broker

import (
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/clock"
)

// Breach is something that a peer has said and that it can't know, or that is not its to say. It was not
// believed, and nothing was lost by it; but the peer is broken, or somebody speaks in its place.
type Breach struct {
	Peer string // who said it, or in whose name
	Rule string // of docs/protocol.md
	What string // for the log
}

// mostBreaches bounds those of one Ready; all are counted.
const mostBreaches = 16

// breach counts and tells of one.
func (o *output) breach(peer, rule, format string, args ...any) {
	o.stats.Breaches++
	if len(o.out.Breaches) < mostBreaches {
		o.out.Breaches = append(o.out.Breaches, Breach{Peer: peer, Rule: rule, What: fmt.Sprintf(format, args...)})
	}
}

// overstates reports whether a clock holds more updates of this broker's actor than it has written: whoever tells
// it was deceived, or deceives (rule X1).
func (c *core) overstates(v clock.Vector) bool {
	n := v.Get(c.cfg.Actor)
	return n > 0 && !c.ledger.Has(clock.Dot{Actor: c.cfg.Actor, Counter: n})
}

// corrected takes out of what a peer says of itself what can't be true. Who overstates what we have written is
// not known to hold any of it; but it need not be sent again and again what it takes for held.
func (c *core) corrected(s replication.Said) replication.Said {
	if s.Stable != nil && !s.Clock.Covers(s.Stable.Raised) {
		c.breach(s.From, "F1", "it tells of updates as stable that it does not hold")
		s.Stable = nil
	}
	if !c.overstates(s.Clock) && !c.overstates(s.Seen) {
		return s
	}
	c.breach(s.From, "X1", "it holds %d updates of %s, which has written %d", max(s.Clock.Get(c.cfg.Actor), s.Seen.Get(c.cfg.Actor)), c.cfg.Actor, c.wrote())
	own := func(d clock.Dot) bool { return d.Actor == c.cfg.Actor }
	s.Taken = false
	s.Clock = slices.DeleteFunc(s.Clock.Clone(), own)
	s.Seen = slices.DeleteFunc(s.Seen.Clone(), own)
	s.Seen.Merge(s.Clock)
	s.Seen.Set(clock.Dot{Actor: c.cfg.Actor, Counter: c.wrote()})
	return s
}

// wrote counts what this broker has written since its start.
func (c *core) wrote() uint64 { return c.ledger.Clock().Get(c.cfg.Actor) }
