package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
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
