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

// Breaches counts those of one peer since this broker's start.
type Breaches struct {
	Count uint64
	Last  Breach
}

// breach counts and tells of one. Of a name that is no member, which anybody may invent, no count is kept.
func (c *core) breach(peer, rule, format string, args ...any) {
	x := Breach{Peer: peer, Rule: rule, What: fmt.Sprintf(format, args...)}
	c.stats.Breaches++
	if len(c.out.Breaches) < mostBreaches {
		c.out.Breaches = append(c.out.Breaches, x)
	}
	if peer == c.self || c.members.Knows(peer) {
		c.breaches[peer] = Breaches{c.breaches[peer].Count + 1, x}
	}
}

// overstates reports whether a clock holds more updates of this broker's actor than it has written: whoever tells
// it was deceived, or deceives (rule X1).
func (c *core) overstates(v clock.Tips) bool { return c.claimed(v) > c.ledger.Wrote() }

// claimed counts the updates of this broker's actor that a clock holds.
func (c *core) claimed(v clock.Tips) uint64 { return c.ledger.Lineage().Get(v, c.cfg.Actor) }

// corrected takes out of what a peer says of itself what can't be true. Who overstates what we have written is
// not known to hold any of it; but it need not be sent again and again what it takes for held.
func (c *core) corrected(s replication.Said) replication.Said {
	if !c.ledger.Lineage().Covers(s.Clock, s.Told.Raised()) {
		if !c.ledger.Puzzled(s.Clock) { // else it says so again when we know what its clock stands for
			c.breach(s.From, "F1", "it tells of updates as stable that it does not hold")
		}
		s.Disbelieved = true
	}
	if !c.overstates(s.Clock) && !c.overstates(s.Seen) {
		return s
	}
	c.breach(s.From, "X1", "it holds %d updates of %s, which has written %d", max(c.claimed(s.Clock), c.claimed(s.Seen)), c.cfg.Actor, c.ledger.Wrote())
	s.Taken = false
	by, own := c.ledger.Lineage(), clock.Dot{Actor: c.cfg.Actor, Counter: c.ledger.Wrote() + 1}
	s.Seen = by.Merge(by.Without(s.Seen, own), by.Without(s.Clock, own))
	s.Clock = slices.DeleteFunc(s.Clock.Clone(), func(d clock.Dot) bool { return d.Actor == c.cfg.Actor }) // with all that we had held
	return s
}
