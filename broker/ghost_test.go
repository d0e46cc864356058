package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// A message that was on its way when its sender was killed arrives after the sender's
// successor is there: it is not heard. Before SWIM knows of the successor it is.
// (make soak, seed 601: a result that all had shown as firm changed.)
func TestGhostsAreNotHeard(t *testing.T) {
	for _, succeeded := range []bool{false, true} {
		w := newWorld()
		for _, name := range []string{"a", "b"} {
			w.start(name, func(*Config) {})
		}
		w.meet()
		w.pass(w.cfg.AckTimeout)
		a, b := w.nodes["a"], w.nodes["b"]
		spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
		require.NoError(t, spec.Complete())
		w.ask(a, "", func(t Token) Input { return Submit{Token: t, ID: "j1", Spec: spec} })
		w.ready(a)
		p, ok := w.take([2]string{"a", "b"})
		require.True(t, ok, "the news is on its way")
		w.crash("a")
		clear(a.disk) // it was wiped
		w.start("a", func(*Config) {})
		if succeeded {
			w.meet()
			w.settle()
		}
		w.deliver(p)
		require.Equal(t, !succeeded, len(b.b.jobs.withID("j1")) == 1)
	}
}

// How many are remembered is bounded.
func TestGhostsAreBounded(t *testing.T) {
	var g ghosts
	for i := range 3 * mostGhosts {
		g.add(actorOf(i))
	}
	require.Len(t, g.known, mostGhosts)
	require.Len(t, g.order, mostGhosts)
	require.True(t, g.known[actorOf(3*mostGhosts-1)])
}

func actorOf(i int) clock.Actor { return clock.Actor(fmt.Sprintf("a~%d", i)) }

// SWIM may be told of an earlier start again, for a moment: whoever is there now is heard.
func TestWhoIsThereIsNoGhost(t *testing.T) {
	b := newWorld().start("a", func(*Config) {}).b
	see := func(actor clock.Actor) {
		before := b.members
		b.members, b.names = map[string]membership.Member{"b": {Name: "b", Actor: actor, Status: membership.Alive}}, []string{"b"}
		b.noteGhosts(before)
	}
	see("b~2")
	see("b~1")
	require.True(t, b.ghosts.known["b~2"])
	see("b~2")
	require.False(t, b.ghosts.known["b~2"])
	require.True(t, b.ghosts.known["b~1"])
}
