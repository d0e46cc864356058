package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
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
		list := n.b.ownership.candidates(&job.Record{Spec: s}, &stakes{}, sampled)
		require.Len(t, list, 1+sampled)
		require.Equal(t, "a", list[0])
		for _, name := range list {
			seen[name] = true
		}
	}
	require.Len(t, seen, 51)
}

// J15: of many brokers those that have compiled the module are always among those that are compared.
func TestCandidatesWithTheModule(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	s := job.Spec{Driver: job.Wasm, Module: job.Digest(strings.Repeat("e", 64))}
	warm := []string{"m07", "m33"}
	for i := range 50 {
		name := fmt.Sprintf("m%02d", i)
		actor := clock.Actor(name + "~1")
		n.seen[name] = membership.Member{Name: name, Actor: actor, Status: membership.Alive}
		said := wire.Metadata{Name: name, Actor: actor, Capabilities: w.cfg.Capabilities}
		if slices.Contains(warm, name) {
			said.Modules = wire.NewModules([]job.Digest{s.Module})
		}
		n.b.members.Learn(said, true)
	}
	w.roster(n)
	for range 100 {
		list := n.b.ownership.candidates(&job.Record{Spec: s}, &stakes{}, sampled)
		require.Len(t, list, 1+sampled+len(warm))
		require.Subset(t, list, warm)
	}
	s.Module = job.Digest(strings.Repeat("f", 64))
	require.Len(t, n.b.ownership.candidates(&job.Record{Spec: s}, &stakes{}, sampled), 1+sampled)
}

// J12: who has returned a job is chosen again only when all have, and who never can carry it out is not.
func TestChooseWhoHasNotReturned(t *testing.T) {
	w := newCluster("a", "b", "c")
	o := &w.nodes["a"].b.ownership
	r := someRecord(t, 1, 1)
	chosen := func() map[string]bool {
		names := map[string]bool{}
		for range 100 {
			name, actor, ok := o.choose(r, 0)
			require.Equal(t, ok, name != "")
			require.Equal(t, name, actor.Broker())
			names[name] = true
		}
		return names
	}
	back := func(by clock.Actor, never bool) {
		r = r.With(clock.Dot{Actor: by, Counter: 9}, func(r *job.Record) {
			r.AddReturn(job.Return{Attempt: job.Attempt{Seq: uint64(len(r.Returns) + 1)}, By: by, Reason: "x", Never: never})
		})
	}
	back("a~1", false)
	back("a~1", false)
	back("b~1", false)
	require.Equal(t, map[string]bool{"c": true}, chosen())
	back("c~1", true)
	require.NotContains(t, chosen(), "c")
	require.NotEmpty(t, chosen())
	back("a~1", true)
	require.Equal(t, map[string]bool{"b": true}, chosen())
	back("b~1", true)
	require.Equal(t, map[string]bool{"": true}, chosen())
}
