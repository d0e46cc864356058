package broker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
)

// gate lets brokers into the city of a world.
type gate struct {
	root    identity.Key
	of      *identity.Authorities
	shut    map[string]bool // whose certificates nobody has seen
	earlier map[string]bool // brokers of an earlier version, which introduce nobody
}

// newGate makes the worlds's brokers those of a city.
func (w *world) newGate(t *testing.T) *gate {
	root := privateKey(t, 1)
	w.gate = &gate{root, identity.FoundCity(root.Public()), map[string]bool{}, map[string]bool{}}
	w.cfg.City = w.gate.of.City()
	return w.gate
}

// admission is by what somebody was let in.
func (d *gate) admission(name string, role identity.Role) *identity.Proof {
	key, err := identity.NewKey(strings.NewReader(strings.Repeat(name, 32)))
	must(err)
	a, err := d.root.Admit(d.of.City(), name, key.Public(), role, time.UnixMilli(7), 0)
	must(err)
	p, err := d.of.Prove(a)
	must(err)
	return p
}

// introduce does what a broker's shell does that is asked who has let others in.
func (w *world) introduce(n *node, names []string) {
	for _, name := range names {
		if w.gate != nil && !w.gate.shut[name] && !w.gate.earlier[n.name] {
			w.step(n, Vouch{Proofs: []*identity.Proof{w.gate.admission(name, identity.Broker)}})
		}
	}
}

// opens lets a member put a name into the roll, as one does that is another program: its ledger holds that, and it acts by it no further.
func (w *world) opens(by *node, name string) {
	r, err := by.b.ledger.Apply(kind.MemberRef(name), func(dot clock.Dot, old ledger.Record) ledger.Record {
		o, _ := old.(*roll.Record)
		return roll.Change(o, name, "", dot, by.b.stamp())
	})
	must(err)
	by.b.tell(r.Writers(), true)
	w.settle()
}

// firm reports how a job's end is shown by a broker.
func (w *world) firm(n *node, id string) bool {
	r, _ := n.b.resolve(id)
	return r != nil && r.Finished() && n.b.firm(r)
}

// liveCity makes a city of three that all count each other, and in which a job has ended, for certain.
func liveCity(t *testing.T) *world {
	w := newCity(t, "", "a", "b", "c")
	w.runOne(t, "before")
	return w
}

// runOne lets a job run to its end, and time pass in which all can hear of it.
func (w *world) runOne(t *testing.T, id string) {
	l := &liar{w: w}
	l.submit(w.nodes["a"], job.ID(id), "name=a")
	w.pass(5 * time.Second)
	l.end()
	w.pass(2*w.cfg.SyncInterval + 10*time.Second)
	require.NotEmpty(t, w.nodes["a"].b.withID(job.ID(id)))
}

// A member that makes up a name holds nothing back by it, and it is told who has; an operator takes the name out (rule M6).
func TestWhoWasNotLetInDoesNotCount(t *testing.T) {
	w := liveCity(t)
	a, b, c := w.nodes["a"], w.nodes["b"], w.nodes["c"]
	for _, n := range []*node{a, b, c} {
		require.Len(t, n.b.members.Roll().Names(), 3, n.name)
		require.True(t, w.firm(n, "before"), n.name)
	}
	w.opens(c, "zz")
	w.pass(time.Second)
	require.True(t, w.firm(a, "before"), "what was firm stays so")
	w.runOne(t, "after")
	for _, n := range []*node{a, b} {
		require.True(t, w.firm(n, "after"), n.name)
		require.NotContains(t, n.b.members.Counted(), "zz")
		require.True(t, n.b.members.Complete())
		require.Equal(t, []string{"zz"}, n.b.members.Uninvited())
		require.True(t, slices.ContainsFunc(n.b.enrolment.list(), func(m Enrolled) bool { return m.Name == "zz" && m.Uninvited == "c" }))
	}
	o := Overview{Roll: a.b.enrolment.list()}
	require.Contains(t, strings.Join(a.b.warnings(3, &o), "\n"), "zz (by c)")

	// A restart changes nothing of that, and whoever says that it is a client of the city neither.
	w.step(b, Vouch{Proofs: []*identity.Proof{w.gate.admission("zz", identity.Client)}})
	w.crash("a", false)
	a = w.start("a", func(*Config) {})
	w.meet()
	w.runOne(t, "again")
	require.True(t, w.firm(a, "again"))
	require.Equal(t, []string{"zz"}, a.b.members.Uninvited())

	w.said = nil
	w.ask(a, "zz is forgotten", func(tok Token) Input { return ForgetMember{Token: tok, Name: "zz"} })
	w.pass(10 * time.Second)
	require.Empty(t, b.b.members.Uninvited())
	require.True(t, b.b.members.Roll().Closed("zz"))
	w.opens(c, "zz")
	require.Equal(t, []string{"zz"}, b.b.members.Uninvited(), "it is not in it again either")
	require.True(t, w.firm(b, "again"))
}

// A broker that comes is counted by everybody who could call anything firm without it: whose clock covers its opening has its admission.
func TestTheAdmissionGoesWithTheOpening(t *testing.T) {
	w := liveCity(t)
	w.addToCity("d", true)
	w.meet()
	w.pass(10 * time.Second)
	opening := w.nodes["a"].b.members.Roll().Get("d")
	require.NotNil(t, opening)
	for _, n := range w.nodes {
		require.True(t, n.b.members.Roll().Has("d"), n.name)
		require.Len(t, n.b.members.Roll().Names(), 4, n.name)
	}
	w.runOne(t, "of-four")
	require.True(t, w.firm(w.nodes["d"], "of-four"))

	// While d is away nothing is firm, as ever.
	w.crash("d", false)
	w.meet()
	w.runOne(t, "without-d")
	require.False(t, w.firm(w.nodes["a"], "without-d"))
}

// Nobody is admitted to the roll whose admission is not known, nor told anything.
func TestWhoShowsNothingIsNotAdmitted(t *testing.T) {
	w := liveCity(t)
	w.gate.shut["d"] = true
	w.addToCity("d", true)
	w.meet()
	w.pass(time.Minute)
	for _, name := range []string{"a", "b", "c"} {
		n := w.nodes[name]
		require.Nil(t, n.b.members.Roll().Get("d"), name)
		require.NotContains(t, n.b.members.Counted(), "d", name)
		require.NotContains(t, n.b.members.Ring(), "d", name)
	}
	require.Empty(t, w.nodes["d"].b.withID("before"))
	w.runOne(t, "without-d")
	require.True(t, w.firm(w.nodes["a"], "without-d"), "whom only the gossip knows holds nothing back")

	delete(w.gate.shut, "d")
	w.pass(time.Minute)
	require.True(t, w.nodes["b"].b.members.Roll().Has("d"))
	require.NotEmpty(t, w.nodes["d"].b.withID("before"))
}

// A broker of the version before admits without an admission: who hears of it asks whoever has come (rule K5).
func TestWhoWasAdmittedByAnEarlierVersion(t *testing.T) {
	w := liveCity(t)
	w.addToCity("d", true)
	w.gate.shut["d"] = true
	w.opens(w.nodes["a"], "d") // as that version does
	for _, name := range []string{"b", "c"} {
		require.Equal(t, []string{"d"}, w.nodes[name].b.members.Uninvited())
	}
	delete(w.gate.shut, "d")
	w.meet()
	w.pass(time.Minute)
	for _, n := range w.nodes {
		require.True(t, n.b.members.Roll().Has("d"), n.name)
		require.Empty(t, n.b.members.Uninvited(), n.name)
	}
	w.runOne(t, "of-four")
	require.True(t, w.firm(w.nodes["d"], "of-four"))
}

// Those that were in the roll before there was a city count until they have come, or an operator gives them up, also at who has come since
// then; and a disk remembers it.
func TestWhoWasInTheRollBeforeTheCityCounts(t *testing.T) {
	w := newWorld()
	w.numbered = true
	for _, name := range []string{"a", "b", "c"} {
		w.start(name, func(*Config) {})
	}
	w.meet()
	w.pass(10 * time.Second)
	for _, name := range []string{"a", "b", "c"} {
		w.crash(name, false)
	}
	w.newGate(t)
	edit := func(c *Config) { c.City = w.gate.of.City() }
	a, b := w.start("a", edit), w.start("b", edit)
	require.Equal(t, []string{"b", "c"}, a.b.members.Adopted())
	w.meet()
	w.pass(time.Minute)
	for _, n := range []*node{a, b} {
		require.Equal(t, []string{"c"}, n.b.members.Adopted(), n.name)
		require.Contains(t, n.b.members.Counted(), "c")
	}
	w.runOne(t, "without-c")
	require.False(t, w.firm(a, "without-c"))
	w.crash("b", false)
	b = w.start("b", func(*Config) {})
	require.Contains(t, b.b.members.Counted(), "c", "after another start")

	d := w.start("d", func(c *Config) { c.Adopted = a.b.members.Adopted() })
	w.meet()
	w.pass(time.Minute)
	require.Contains(t, d.b.members.Counted(), "c")
	require.True(t, d.b.members.Roll().Has("c"))

	w.opens(d, "zz")
	require.Equal(t, []string{"zz"}, a.b.members.Uninvited(), "what is written since does not count")

	w.ask(a, "c is forgotten", func(tok Token) Input { return ForgetMember{Token: tok, Name: "c"} })
	w.pass(time.Minute)
	w.opens(d, "c")
	for _, n := range []*node{a, b} {
		require.Empty(t, n.b.members.Adopted(), n.name)
		require.NotContains(t, n.b.members.Counted(), "c", n.name)
	}
	w.crash("d", false)
	d = w.start("d", func(*Config) {})
	require.NotContains(t, d.b.members.Counted(), "c", "what was told at the door counts once")
}

// Who comes hears who was let in before it takes part. Until then it is no cluster of its own, for which all would be certain.
func TestANewcomerHearsWhoWasLetIn(t *testing.T) {
	w := liveCity(t)
	w.gate.earlier["d"] = true // its own shell knows nobody
	d := w.addToCity("d", true)
	w.meet()
	m := wire.Message{Version: wire.Version, From: "a", Actor: w.nodes["a"].cfg.Actor, Delta: new(wire.Delta)}
	for _, name := range []string{"a", "b", "c"} {
		r := w.nodes["a"].b.members.Roll().Get(name)
		m.Delta.Records = append(m.Delta.Records, wire.Encoded{Kind: kind.Member, Key: name, Dots: r.Dots, Bytes: r.Encode()})
	}
	w.deliver(packet{from: "a", to: "d", wire: wire.Encode(&m)})
	require.Equal(t, []string{"a", "b", "c"}, d.b.members.Uninvited())
	require.Equal(t, []string{"a", "b", "c"}, d.b.members.Counted())
	require.False(t, d.b.members.Single())
	w.pass(10 * time.Second)
	require.Empty(t, d.b.members.Uninvited())
	require.Len(t, d.b.members.Roll().Names(), 4)
	require.NotEmpty(t, d.b.withID("before"))
}
