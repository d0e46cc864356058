package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
)

// lifeOf declares or clears at a broker what is not known there, and says which life that begins.
func lifeOf(t *testing.T, w *world, n *node, text, id string) uint64 {
	taken, _ := claims(t, w, n, 1, text)
	require.Equal(t, 1, taken)
	return n.b.emergencies.known[emergency.ID(id)].Life
}

// A broker of an earlier version joins what is of two lives. So while one is a member no declaration begins a life; a clear does, since an
// emergency that is joined with one is cleared, too (rules E6, K5).
func TestNoLifeBeginsBesideAnEarlierVersion(t *testing.T) {
	w := newWorld()
	a := w.start("a", func(c *Config) { c.Replicas = 1 })
	w.start("b", func(*Config) {})
	w.settle()
	w.meet()
	w.pass(a.cfg.SyncInterval)
	require.NotZero(t, lifeOf(t, w, a, `{"id":"one","type":"flood","level":"low","message":"%d"}`, "one"))

	earlier := a.b.members.Metadata("b")
	require.True(t, earlier.Lives)
	earlier.Lives = false
	earlier.Version++
	a.b.learn(earlier, true)
	require.Zero(t, lifeOf(t, w, a, `{"id":"two","type":"flood","level":"low","message":"%d"}`, "two"))
	require.NotZero(t, lifeOf(t, w, a, `{"clear":"three%d"}`, "three0"))
}

// Which lives a broker has forgotten it knows after a start, too: what it begins is later (rule E6).
func TestForgottenLivesAreKept(t *testing.T) {
	w := newWorld()
	a := w.start("a", func(c *Config) { c.Replicas = 1 })
	w.settle()
	a.b.emergencies.hasForgotten(&emergency.Record{Life: 5000})
	a.b.emergencies.hasForgotten(&emergency.Record{Life: 7})
	w.settle()
	w.crash("a", false)
	w.boot(a, clock.Actor("a~2"))
	w.settle()
	require.EqualValues(t, 5001, lifeOf(t, w, a, `{"id":"one","type":"flood","level":"low","message":"%d"}`, "one"))
}
