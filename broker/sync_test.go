package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// S5: under pressure the exchange stretches, at most twofold, and the row says so.
func TestPressure(t *testing.T) {
	w := newWorld()
	b := w.start("a", func(*Config) {}).b
	for given, want := range map[float64]float64{0: 1, 1: 1, 1.5: 1.5, 9: 2} {
		require.NoError(t, b.Step(Pressure{Stretch: given}))
		require.Equal(t, want, b.ownMetadata(false).Stretch)
	}
}

// G3: a broker that has moved tells its new HTTP address of itself.
func TestMoved(t *testing.T) {
	w := newWorld()
	b := w.start("a", func(*Config) {}).b
	require.NoError(t, b.Step(Moved{HTTPAddr: "10.0.0.7:8000"}))
	require.Equal(t, "10.0.0.7:8000", b.ownMetadata(true).HTTPAddr)
}

// S5: somebody else who answers at a peer's address is as good as no answer: the
// pause grows.
func TestAnotherOneAnswers(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	n.seen["b"] = membership.Member{Name: "b", Actor: "b~1", HTTPAddr: "b:1", Status: membership.Alive}
	w.roster(n)
	for range 3 {
		w.step(n, Acked{Peer: "b", Reply: wire.Reply{Version: wire.Version, From: "x", Actor: "x~1"}})
	}
	require.False(t, n.b.peers.Covers("b", nil), "b was not heard")
	for range 9 {
		require.Empty(t, n.b.Ready().Send, "the third pause takes a second at least")
		w.now = w.now.Add(100 * time.Millisecond)
		must(n.b.Step(Tick{Now: w.now}))
	}
}

// The state for push-pull is renewed when it is stale, and not for every Ready.
func TestPublishIsBounded(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	published := 0
	for i := range 100 {
		must(n.b.Step(Tick{Now: w.now.Add(time.Duration(i) * 10 * time.Millisecond)}))
		must(n.b.Step(Submit{Token: Token(i + 1), ID: job.ID(fmt.Sprint(i)), Spec: someRecord(t, i, 1).Spec}))
		rd := n.b.Ready()
		if rd.Overview != nil {
			published++
			require.Equal(t, n.b.Clock(), rd.Overview.State.Metadata[0].Clock)
		}
		n.b.Advance(rd)
	}
	require.Equal(t, 5, published, "every 200 ms of one second")
}

// A clock of half the entries that peers take is a warning, long before they refuse it (rule K4).
func TestHalfABoundIsAWarning(t *testing.T) {
	b := newWorld().start("a", func(*Config) {}).b
	require.Empty(t, b.warnings(wire.MaxClock/2, &Overview{}))
	require.Len(t, b.warnings(wire.MaxClock/2+1, &Overview{}), 1)
}

// What a broker holds is said by itself alone: a push-pull shows the sender's clock, and what a third
// one is said to hold makes nobody pull (rules S3, K4).
func TestOfThirdBrokersClocksAreHearsay(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	for _, name := range []string{"b", "c"} {
		n.seen[name] = membership.Member{Name: name, Actor: clock.Actor(name + "~1"), HTTPAddr: name + ":1", Status: membership.Alive}
	}
	w.roster(n)
	ahead := clock.NewTips(clock.Dot{Actor: "c~1", Counter: 9})
	row := func(name string) wire.Metadata {
		return wire.Metadata{Version: 1, Name: name, Actor: clock.Actor(name + "~1"), Clock: ahead}
	}
	pulled := func(s wire.State) (to []string) {
		must(n.b.Step(Tick{Now: w.now}))
		n.b.Ready() // the first exchanges
		for _, name := range []string{"b", "c"} {
			n.b.peers.Answered(name, false)
		}
		must(n.b.Step(Gossip{State: s}))
		for _, m := range n.b.Ready().Send {
			to = append(to, m.To)
		}
		return to
	}
	w.now = w.now.Add(5 * time.Second)
	require.Empty(t, pulled(wire.State{From: "b", Metadata: []wire.Metadata{row("c")}}))
	require.Equal(t, []string{"c"}, pulled(wire.State{From: "c", Metadata: []wire.Metadata{row("c")}}))
	require.Empty(t, n.b.members.Metadata("c").Clock)
}

// L11, K4: half of the brokers that a clock may name is a warning; only beyond all of them peers refuse it.
func TestWarnsAtHalfOfABound(t *testing.T) {
	b := New(Config{Actor: "a~1"})
	warns := func(names int) bool {
		return slices.ContainsFunc(b.warnings(names, &Overview{}), func(w string) bool { return strings.Contains(w, "the vector clock names") })
	}
	require.False(t, warns(wire.MaxClock/2))
	require.True(t, warns(wire.MaxClock/2+1))
}
