package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
)

// poison lets a broker believe that it holds 2^40 updates of a's present start, as another one says.
func (w *world) poison(deceived, by string) clock.Tips {
	lie := clock.NewTips(clock.Dot{Actor: w.nodes["a"].cfg.Actor, Counter: 1 << 40})
	w.doubtful[lie[0].Actor] = true
	m := wire.Message{Version: wire.Version, From: by, Actor: w.nodes[by].cfg.Actor, Delta: &wire.Delta{Clock: lie}}
	w.deliver(packet{from: by, to: deceived, wire: wire.Encode(&m)})
	return lie
}

// All others believe that they hold 2^40 updates of a, an end that they have not got among these, and say that this is
// stable. It is not firm at a before they hold what a has said again (rules K3, F2).
func TestFirmIsWhatIsSaidAgain(t *testing.T) {
	w := newWorld()
	w.numbered = true
	for _, name := range []string{"a", "b", "c"} {
		w.start(name, func(c *Config) { c.Replicas = 1 })
	}
	w.meet()
	w.pass(3 * time.Second)
	a := w.nodes["a"]
	w.submit(a, "j1")
	w.pass(2 * w.cfg.SyncInterval)
	lie := w.poison("b", "c")
	w.settle()
	r, _ := a.b.resolve("j1")
	require.True(t, a.b.decide(r.Key(), "failed", "for the test", nil))
	a.b.renewal.doubt = true
	w.step(a, Minted{clock.StartActor("a", 7)})
	a.cfg.Actor = "a~0000000000000007"
	a.b.ledger.RaiseStable(lie)
	r, _ = a.b.resolve("j1")
	w.cut[[2]string{"a", "b"}], w.cut[[2]string{"b", "a"}] = true, true
	w.pass(5 * time.Second)
	require.True(t, a.b.peers.Proven(), "by c")
	require.False(t, a.b.firm(r), "b has not got it")
	clear(w.cut)
	w.pass(2 * w.cfg.SyncInterval)
	require.True(t, a.b.firm(r))
}

// What is told to an earlier start of this process counts for nothing (rules F1, K3).
func TestRepliesToAnEarlierStart(t *testing.T) {
	w := newCluster("a", "b", "c")
	a := w.nodes["a"]
	was := a.cfg.Actor
	w.step(a, Minted{"a~7"})
	a.cfg.Actor = "a~7"
	reply := wire.Reply{Version: wire.Version, From: "b", Actor: "b~1", Clock: clock.NewTips(clock.Dot{Actor: "a~1", Counter: 3})}
	w.step(a, Acked{Peer: "b", By: was, Reply: reply})
	require.False(t, a.b.peers.Heard("b"))
	w.step(a, Unreachable{Peer: "b", By: was})
	w.settle()
	require.True(t, a.b.peers.Heard("b"), "and it did not wait")
}

// A shell that can't store a new start says so; it is asked again a minute later.
func TestAStartThatIsNotMade(t *testing.T) {
	w := newCluster("a", "b", "c")
	a := w.nodes["a"]
	a.b.renewal.want("for the test", nil)
	require.NotNil(t, a.b.Ready().Mint)
	require.Nil(t, a.b.Ready().Mint, "it is asked once")
	w.step(a, Minted{})
	require.Nil(t, a.b.Ready().Mint)
	require.Equal(t, w.now.Add(renewEach), a.b.renewal.due())
	w.now = w.now.Add(renewEach)
	w.step(a, Pressure{Stretch: 1})
	require.NotNil(t, a.b.Ready().Mint)
	require.EqualValues(t, "a~1", a.b.cfg.Actor)
}

// Who waits for copies when a start ends waits for those of what is said again: c believes that it has held the
// emergency, and has forgotten it (rules K3, A1).
func TestCopiesAreOfWhatIsSaidAgain(t *testing.T) {
	w := newCluster("a", "b", "c")
	w.pass(2 * w.cfg.SyncInterval)
	w.poison("c", "b")
	w.settle()
	w.cut[[2]string{"a", "b"}], w.cut[[2]string{"b", "a"}] = true, true
	a, c := w.nodes["a"], w.nodes["c"]
	pass := func(from, to string) {
		w.ready(w.nodes[from])
		for p, ok := w.take([2]string{from, to}); ok; p, ok = w.take([2]string{from, to}) {
			w.deliver(p)
		}
	}
	a.b.peers.Pull("c")
	pass("a", "c")
	pass("c", "a")
	w.now = w.now.Add(doubtAfter - time.Second) // it is about to begin another start
	w.said = nil
	declared := func() bool { return strings.Contains(strings.Join(w.said, "\n"), "a answers declare: flood-1 ") }
	d, err := emergency.ParseDeclaration([]byte(`{"id":"flood-1","type":"flood","level":"critical","ttl":"1h"}`))
	require.NoError(t, err)
	w.ask(a, "declare", func(t Token) Input { return Declare{Token: t, Declaration: d} })
	for i := range 10 {
		if i == 5 {
			w.now = w.now.Add(time.Second)
		}
		pass("a", "c")
		pass("c", "a")
		w.ready(a)
		if c.b.emergencies.known["flood-1"] == nil {
			require.False(t, declared(), "c does not hold it")
		}
	}
	require.Contains(t, w.said, "a goes on as a~2: c holds 1099511627776 updates of a~1, which has written 3")
	w.settle()
	require.True(t, declared())
	require.NotContains(t, strings.Join(w.said, "\n"), "degraded")
	require.NotNil(t, c.b.emergencies.known["flood-1"])
}
