package broker

import (
	"slices"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
)

// A message may outlive its sender by many seconds: the kernel of a broker that was killed
// goes on repeating what it had sent. When the same name is there again with a disk that was
// rolled back, such a ghost can bring a verdict of which nobody knew while all agreed on
// another, and a result that was shown as firm would change (rules I2, A3). So who has been
// succeeded, as SWIM says, is not heard any more. What it had written and its successor's disk
// has kept comes from there; what it has not was never acknowledged.
type ghosts struct {
	known map[clock.Actor]bool
	order []clock.Actor
}

// mostGhosts is more than restart while a message is on its way.
const mostGhosts = 1024

// add notes an actor that has a successor.
func (g *ghosts) add(a clock.Actor) {
	if g.known[a] {
		return
	}
	if g.known == nil {
		g.known = map[clock.Actor]bool{}
	}
	g.known[a] = true
	if g.order = append(g.order, a); len(g.order) > mostGhosts {
		delete(g.known, g.order[0])
		g.order = g.order[1:]
	}
}

func (g *ghosts) drop(a clock.Actor) {
	if g.known[a] {
		delete(g.known, a)
		g.order = slices.DeleteFunc(g.order, func(x clock.Actor) bool { return x == a })
	}
}

// noteGhosts compares the roster with the one before. Whoever is in it now is no ghost: SWIM
// may have been told of an earlier start again, for a moment.
func (b *Broker) noteGhosts(before map[string]membership.Member) {
	for _, name := range b.names {
		if old, now := before[name].Actor, b.members[name].Actor; old != "" && now != "" && old != now {
			b.ghosts.add(old)
			b.ghosts.drop(now)
		}
	}
}
