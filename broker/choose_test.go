package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// S1: the ring successors are live members, each once, and everybody is somebody's.
func TestRing(t *testing.T) {
	w := newWorld()
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		w.start(name, func(c *Config) { c.Replicas = 3 })
	}
	w.nodes["d"].b = nil // it has failed
	w.meet()
	copies := map[string]int{}
	for _, name := range names {
		if b := w.nodes[name].b; b != nil {
			require.Len(t, b.members.Ring(), 3)
			for _, s := range b.members.Ring()[:b.copies.Reach()] {
				require.NotEqual(t, name, s)
				require.NotEqual(t, "d", s)
				copies[s]++
			}
			require.Len(t, b.members.Names(), 4)
		}
	}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 2, "e": 2}, copies)
	require.Len(t, w.nodes["a"].b.members.Ring(), 3)
}

// Of many capable brokers a few are compared, and over time all.
func TestCandidatesAreAFew(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	for i := range 50 {
		name := fmt.Sprintf("m%02d", i)
		actor := clock.Actor(name + "~1")
		n.seen[name] = membership.Member{Name: name, Actor: actor, Status: membership.Alive}
		n.b.members.Learn(wire.Metadata{Name: name, Actor: actor, Capabilities: w.cfg.Capabilities}, true)
	}
	w.roster(n)
	s := someRecord(t, 1, 1).Spec
	seen := map[string]bool{}
	for range 500 {
		list := n.b.ownership.candidates(&s, sampled)
		require.Len(t, list, 1+sampled)
		require.Equal(t, "a", list[0])
		for _, name := range list {
			seen[name] = true
		}
	}
	require.Len(t, seen, 51)
}
