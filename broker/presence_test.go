package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
)

// A message that was on its way when its sender died, and that arrives after SWIM has lost the sender, shows
// nobody alive, and its records wait (rule P1): the sender had heard us, but not since then. So the sender's jobs
// pass on when they should.
func TestLateMessagesReviveNobody(t *testing.T) {
	w := newCluster("a", "b")
	a, b := w.nodes["a"], w.nodes["b"]
	w.submit(b, "j1")
	w.settle()
	w.submit(b, "j2")
	w.ready(b)
	late, ok := w.take([2]string{"b", "a"})
	require.True(t, ok, "the news is on its way")
	w.crash("b", false)
	w.pass(time.Second) // until SWIM notices
	w.meet()
	w.deliver(late)
	require.Zero(t, a.b.stats.ProvenAlive)
	require.EqualValues(t, 1, a.b.stats.Unproven)
	require.Empty(t, a.b.jobs.withID("j2"))
	w.pass(w.cfg.RedeployDelay)
	require.EqualValues(t, 1, a.b.stats.TakenOver)
}

// A message that says more of the past than there was shows nothing.
func TestNobodyHeardTheFuture(t *testing.T) {
	w := newWorld()
	for _, name := range []string{"a", "b"} {
		w.start(name, func(*Config) {})
	}
	w.meet()
	w.pass(10 * time.Second)
	a := w.nodes["a"]
	m := wire.Message{Version: wire.Version, From: "b", Actor: "b~1", To: "a~1"}
	m.Heard = uint64(10*time.Second/time.Millisecond) + 2
	require.True(t, a.b.peers.HeardUs(&m).IsZero())
	m.Heard--
	require.Equal(t, w.now, a.b.peers.HeardUs(&m))
	m.To = "a~0"
	require.True(t, a.b.peers.HeardUs(&m).IsZero(), "it heard another start")
}

// A message that is for another start of its receiver is not taken in (rule X3): its sender knows of holes that
// may be none any more, or is a copy that comes late. The reply says who is there now, and the sender goes on.
func TestAnotherStartIsNotMeant(t *testing.T) {
	w := newWorld()
	a, b := w.node("a"), w.node("b")
	for _, n := range []*node{a, b} {
		n.protocol = 1 // else a would not understand what leans on what its last start has heard (rule K4)
		w.start(n.name, func(*Config) {})
	}
	w.meet()
	w.pass(w.cfg.AckTimeout)
	w.submit(b, "j1")
	w.ready(b)
	late, ok := w.take([2]string{"b", "a"})
	require.True(t, ok, "the news is on its way")
	w.crash("a", false)
	w.start("a", func(*Config) {})
	w.see(a, "b")
	w.roster(a)
	w.deliver(late)
	require.Empty(t, a.b.jobs.withID("j1"))
	w.pass(w.cfg.AckTimeout)
	require.Len(t, a.b.jobs.withID("j1"), 1)
}
