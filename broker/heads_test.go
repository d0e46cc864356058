package broker

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// signing is what shells do with heads: each signs its broker's commits, and tells those that it has with every message.
type signing struct {
	key    identity.Key
	chains map[string]*head.Chain
	known  map[string]map[clock.Actor]*head.Head
	holds  map[[2]string]bool // from whom no heads come to whom
}

func (w *world) signCommit(n *node, c *ledger.Batch) {
	if !n.cfg.Signs {
		return
	}
	for _, written := range c.Written() {
		h, err := w.signing.chains[n.name].Next(clock.Dot{Actor: written.Actor, Counter: written.Upto}, kind.Leaves(written))
		must(err)
		w.signing.known[n.name][h.Actor] = h
		op := HeadOp(h)
		n.disk.Write(op.Key, op.Value)
	}
}

// tellHeads lets a broker hear of the heads that another has, before what it says otherwise.
func (w *world) tellHeads(from string, n *node) {
	has := w.signing.known[n.name]
	if !n.cfg.Signs || w.signing.holds[[2]string{from, n.name}] {
		return
	}
	var news []*head.Head
	for _, a := range slices.Sorted(maps.Keys(w.signing.known[from])) {
		if h := w.signing.known[from][a]; has[a] == nil || has[a].Counter < h.Counter {
			has[a] = h
			news = append(news, h)
		}
	}
	if len(news) > 0 {
		w.step(n, Signed{Heads: news})
	}
}

// newCity makes a world of brokers that sign, but for those that are of an earlier version, and which have met.
func newCity(t *testing.T, earlier string, names ...string) *world {
	w := newWorld()
	w.numbered = true
	w.signing = signing{privateKey(t, 9), map[string]*head.Chain{}, map[string]map[clock.Actor]*head.Head{}, map[[2]string]bool{}}
	w.newGate(t)
	for _, name := range names {
		w.addToCity(name, name != earlier)
	}
	w.meet()
	w.pass(10 * time.Second)
	return w
}

// addToCity starts another broker of a city.
func (w *world) addToCity(name string, signs bool) *node {
	w.signing.chains[name] = head.NewChain(w.signing.key)
	w.signing.known[name] = map[clock.Actor]*head.Head{}
	return w.start(name, func(c *Config) { c.Signs = signs })
}

// agree is that all brokers that are up hold the same, and that no clock goes beyond what its actor has signed.
func (w *world) agree(t *testing.T) {
	var first clock.Tips
	for _, name := range w.names {
		n := w.nodes[name]
		if n.b == nil {
			continue
		}
		if first == nil {
			first = n.b.Clock()
		}
		require.Equal(t, first.String(), n.b.Clock().String(), name)
		if !n.cfg.Signs {
			continue
		}
		for _, d := range n.b.Clock() {
			if upto, bound := n.b.heads.bound(d.Actor); bound {
				require.GreaterOrEqual(t, upto, d.Counter)
			}
		}
	}
}

// Honest brokers are not held back by it: through restarts, losses, a split, another start of a process, and with one of an earlier
// version among them (rule H1).
func TestHonestClocksAreWithinTheirHeads(t *testing.T) {
	for _, earlier := range []string{"", "c"} {
		w := newCity(t, earlier, "a", "b", "c")
		a, b := w.nodes["a"], w.nodes["b"]
		require.Equal(t, earlier == "", b.b.members.SaysItSigns(w.nodes["c"].cfg.Actor))
		w.submit(a, "one")
		w.submit(b, "two")
		w.pass(5 * time.Second)
		w.agree(t)

		w.crash("a", false)
		w.submit(b, "three")
		w.pass(10 * time.Second)
		a = w.start("a", func(*Config) {})
		w.signing.known["a"] = map[clock.Actor]*head.Head{}
		stored, err := StoredHeads(a.disk.Scan)
		require.NoError(t, err)
		for _, h := range stored {
			w.signing.known["a"][h.Actor] = h
		}
		w.meet()
		w.pass(2 * time.Minute)
		w.agree(t)
		w.submit(a, "four")

		w.cut[[2]string{"a", "b"}], w.cut[[2]string{"b", "a"}] = true, true
		w.submit(a, "five")
		w.submit(b, "six")
		w.pass(2 * time.Minute)
		clear(w.cut)
		w.meet()
		w.pass(3 * time.Minute)
		w.agree(t)
		for _, n := range w.nodes {
			require.Zero(t, n.b.stats.Breaches)
			require.Zero(t, n.b.ledger.Strays(), n.name)
		}
	}
}

// An insider that tells of more updates of another than that has made is believed as far as that has signed, also after a restart;
// without heads it is believed, and the other's next update taken for forgotten.
func TestClocksGoNoFurtherThanHeads(t *testing.T) {
	for _, signs := range []bool{true, false} {
		w := newCity(t, "", "a", "b", "c")
		if !signs {
			w = newCluster("a", "b", "c")
		}
		w.submit(w.nodes["b"], "one")
		w.pass(5 * time.Second)
		lie := func() {
			a, b, c := w.nodes["a"], w.nodes["b"], w.nodes["c"]
			claimed := c.b.Clock()
			(*clock.Vector)(&claimed).Set(clock.Dot{Actor: b.cfg.Actor, Counter: 1000})
			m := wire.Message{Version: wire.Version, From: "c", Actor: c.cfg.Actor, Clock: c.b.Clock(), Delta: &wire.Delta{Clock: claimed}}
			w.deliver(packet{from: "c", to: "a", wire: wire.Encode(&m)})
			if signs {
				require.LessOrEqual(t, clock.Vector(a.b.Clock()).Get(b.cfg.Actor), b.b.ledger.Wrote())
			} else {
				require.Equal(t, uint64(1000), clock.Vector(a.b.Clock()).Get(b.cfg.Actor))
			}
		}
		lie()
		if !signs {
			continue
		}
		w.pass(2 * time.Minute)
		w.submit(w.nodes["b"], "two")
		w.pass(5 * time.Second)
		w.agree(t)
		w.crash("a", false)
		w.start("a", func(*Config) {})
		w.meet()
		lie()
		w.pass(2 * time.Minute)
		w.agree(t)
	}
}

// What an update's head has not come for is held, and the clock has it as soon as the head is there, without waiting for an exchange.
func TestWhatHasNoHeadWaits(t *testing.T) {
	w := newCity(t, "", "a", "b", "c")
	w.cut[[2]string{"a", "b"}], w.cut[[2]string{"b", "a"}] = true, true
	w.signing.holds[[2]string{"c", "a"}] = true
	a, b := w.nodes["a"], w.nodes["b"]
	had := clock.Vector(a.b.Clock()).Get(b.cfg.Actor)
	w.submit(b, "one")
	w.pass(2 * time.Minute)
	require.NotEmpty(t, a.b.withID("one"), "the record itself is taken in")
	require.Equal(t, had, clock.Vector(a.b.Clock()).Get(b.cfg.Actor))
	clear(w.signing.holds)
	w.tellHeads("c", a)
	w.pass(time.Second)
	require.Equal(t, b.b.ledger.Wrote(), clock.Vector(a.b.Clock()).Get(b.cfg.Actor))
}

// A name that is closed in the roll is bound no more: what was lost with its heads holds nobody back.
func TestWhoIsGoneIsNotBound(t *testing.T) {
	w := newCity(t, "", "a", "b", "c")
	a, b := w.nodes["a"], w.nodes["b"]
	_, bound := a.b.heads.bound(b.cfg.Actor)
	require.True(t, bound)
	w.crash("b", false)
	w.meet()
	w.pass(10 * time.Second)
	w.ask(a, "b is given up", func(t Token) Input { return ForgetMember{Token: t, Name: "b"} })
	w.pass(10 * time.Second)
	_, bound = a.b.heads.bound(b.cfg.Actor)
	require.False(t, bound)
}

// Nobody else says of a broker that it signs: an earlier version's entries would never be believed.
func TestOnlyItsOwnWordBinds(t *testing.T) {
	w := newCity(t, "c", "a", "b", "c")
	a, c := w.nodes["a"], w.nodes["c"]
	said := a.b.members.Metadata("c")
	said.Signs, said.Version = true, said.Version+1<<20
	w.step(a, Gossip{State: wire.State{Version: wire.Lowest, From: "b", Metadata: []wire.Metadata{said}}})
	_, bound := a.b.heads.bound(c.cfg.Actor)
	require.False(t, bound)

	// Nor of one that this broker has not heard itself.
	far := wire.Metadata{Name: "d", Actor: "d~0000000000000001", Signs: true, Version: 1}
	w.step(a, Gossip{State: wire.State{Version: wire.Lowest, From: "b", Metadata: []wire.Metadata{far}}})
	require.True(t, a.b.members.Metadata("d").Signs, "b's word is taken in")
	_, bound = a.b.heads.bound(far.Actor)
	require.False(t, bound)
}

// Heads of earlier starts go when a later one stands for them.
func TestHeadsOfEarlierStartsGo(t *testing.T) {
	w := newCity(t, "", "a", "b")
	for _, id := range []job.ID{"one", "two", "three", "four", "five", "six"} {
		w.submit(w.nodes["b"], id)
		w.pass(5 * time.Second)
		w.crash("b", false)
		w.start("b", func(*Config) {})
		w.meet()
		w.pass(time.Minute)
	}
	for _, n := range w.nodes {
		stored, err := StoredHeads(n.disk.Scan)
		require.NoError(t, err)
		require.LessOrEqual(t, len(stored), 4, n.name)
	}
}

// A member that keeps signing new starts fills neither the memory nor the disk of others.
func TestHeadsOfOneMemberAreBounded(t *testing.T) {
	w := newCity(t, "", "a", "b")
	a, c := w.nodes["a"], head.NewChain(w.signing.key)
	for n := range 3 * keepSigned {
		h, err := c.Next(clock.Dot{Actor: clock.StartActor("b", clock.Start(5000-n)), Counter: 1}, nil)
		require.NoError(t, err)
		w.step(a, Signed{Heads: []*head.Head{h}})
	}
	w.pass(time.Second)
	require.LessOrEqual(t, len(a.b.heads.signed), keepSigned)
	stored, err := StoredHeads(a.disk.Scan)
	require.NoError(t, err)
	require.LessOrEqual(t, len(stored), keepSigned+1)
}
