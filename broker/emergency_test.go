package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
)

// claims sends n declarations at once and counts what became of them.
func claims(t *testing.T, w *world, n *node, count int, text string) (taken, refused int) {
	w.ready(n)
	for i := range count {
		d, err := emergency.ParseDeclaration(fmt.Appendf(nil, text, i))
		require.NoError(t, err)
		w.step(n, Declare{Token: 1, Declaration: d})
	}
	rd := n.b.Ready()
	n.b.Advance(rd)
	for _, a := range rd.Answers {
		switch a.Answer.(type) {
		case *TooManyDeclarations:
			refused++
		case *Declared:
			taken++
		}
	}
	return taken, refused
}

// The limits of the moment, as the tests count.
var (
	claimRate, claimBurst = int(claimLimits[0].rate), int(claimLimits[0].burst)
	eventRate, eventBurst = int(eventLimits[0].rate), int(eventLimits[0].burst)
)

// In the long run there is a second limit: who hammers for an hour has used up the hour's
// share, and another broker's is untouched.
func TestDeclarationsAreLimitedInTheLongRun(t *testing.T) {
	var m meter
	now, taken := time.Unix(0, 0), 0
	for range 3600 {
		now = now.Add(time.Second)
		for range 10 {
			if m.take(now, claimLimits) {
				taken++
			}
		}
	}
	require.InDelta(t, 600+600, taken, 2, "the burst and one hour's share")
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	for i := range mostOwn {
		id := emergency.ID(fmt.Sprintf("old%d", i))
		n.b.emergencies.known[id] = &emergency.Record{ID: id, Version: emergency.Version{Seq: 1, By: "a~9"}, Cleared: []emergency.Mark{{At: clock.HybridAt(w.now)}}}
	}
	_, refused := claims(t, w, n, 1, `{"type":"flood","level":"low","message":"%d"}`)
	require.Equal(t, 1, refused, "it has declared enough for a month")
	for _, r := range n.b.emergencies.known {
		r.Version.By = "b~1"
	}
	taken, _ = claims(t, w, n, 1, `{"type":"flood","level":"low","message":"%d"}`)
	require.Equal(t, 1, taken, "what others have declared is no reason")
}

// One broken client declares a thousand times a second: a broker takes twenty at once and five
// a second, refuses the rest clearly, and remembers no more than it took (docs/design.md, "Emergencies").
func TestDeclarationsAreLimited(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	taken, refused := claims(t, w, n, 1000, `{"type":"flood","level":"low","id":"f%d"}`)
	require.Equal(t, claimBurst, taken)
	require.Equal(t, 1000-claimBurst, refused)
	for range 3 {
		w.now = w.now.Add(time.Second)
		taken, _ = claims(t, w, n, 1000, `{"type":"flood","level":"low","message":"%d"}`)
		require.Equal(t, claimRate, taken)
	}
	w.now = w.now.Add(time.Hour)
	taken, _ = claims(t, w, n, 1000, `{"clear":"c%d"}`)
	require.Equal(t, claimBurst, taken, "no more after a rest; clears count, too")
	require.Len(t, n.b.emergencies.known, 2*claimBurst+3*claimRate)
	require.Empty(t, n.b.emergencies.heard)
	require.EqualValues(t, 5000-len(n.b.emergencies.known), n.b.stats.ClaimsRefused)
}

// events brings n events to a broker at once and counts those that it drops.
func events(t *testing.T, w *world, n *node, count int, text string, ltime uint64) (dropped int) {
	w.ready(n)
	for i := range count {
		r, err := emergency.Parse(fmt.Appendf(nil, text, i), ltime, clock.HybridAt(w.now))
		require.NoError(t, err)
		w.step(n, Heard{Event: r})
	}
	rd := n.b.Ready()
	n.b.Advance(rd)
	return len(rd.Dropped)
}

// The same of events, whoever made them: two hundred at once, twenty a second. What says
// nothing new, such as a replay, costs nothing; and what is written leaves no hint behind.
func TestEventsAreLimited(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	const text = `{"type":"flood","level":"low","message":"%d"}`
	require.Equal(t, 1000-eventBurst, events(t, w, n, 1000, text, 7))
	require.Zero(t, events(t, w, n, eventBurst, text, 7), "replays")
	for range 3 {
		w.now = w.now.Add(time.Second)
		require.Equal(t, 1000-eventRate, events(t, w, n, 1000, text, uint64(w.now.Unix())))
	}
	require.Len(t, n.b.emergencies.known, eventBurst+3*eventRate)
	w.pass(writeAfter + writeSpread)
	require.Empty(t, n.b.emergencies.heard)
	require.Len(t, n.b.emergencies.known, eventBurst+3*eventRate)
	require.EqualValues(t, 1000-eventBurst+3*(1000-eventRate), n.b.stats.EventsRefused)
}

// Hints wait for their records: there are no more of them than a bound, whatever others flood
// and whatever a push-pull brings. What concerns one that is known is taken all the same.
func TestHintsAreBounded(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(c *Config) { c.Replicas = 1 })
	n.seen["b"] = membership.Member{Name: "b", Actor: "b~1", HTTPAddr: "b:1", Status: membership.Alive}
	w.roster(n)
	w.settle()
	fill := func(what string, count int) {
		for i := range count {
			r, err := emergency.Parse(fmt.Appendf(nil, `{"id":"%s%d","type":"flood","level":"low","by":"b~1"}`, what, i), 7, clock.HybridAt(w.now))
			require.NoError(t, err)
			n.b.emergencies.takeHints([]*emergency.Record{r})
			n.b.emergencies.events = meter{}
			w.step(n, Heard{Event: r})
		}
	}
	fill("f", mostHeard+50)
	require.Len(t, n.b.emergencies.heard, mostHeard)
	require.Len(t, n.b.emergencies.known, mostHeard)
	n.b.emergencies.events = meter{}
	require.Zero(t, events(t, w, n, 1, `{"clear":"f%d"}`, 9), "what is known can be cleared")
	require.True(t, n.b.emergencies.known["f0"].Finished())
	w.pass(writeAfter + writeSpread)
	require.Empty(t, n.b.emergencies.heard)

	for i := len(n.b.emergencies.known); i < mostEmergencies; i++ {
		id := emergency.ID(fmt.Sprintf("old%d", i))
		n.b.emergencies.known[id] = &emergency.Record{ID: id, Cleared: []emergency.Mark{{At: clock.HybridAt(w.now)}}}
	}
	fill("g", 20)
	require.Len(t, n.b.emergencies.known, mostEmergencies)
	n.b.emergencies.events, n.b.emergencies.claims = meter{}, meter{}
	require.Equal(t, 1, events(t, w, n, 1, `{"type":"flood","level":"low","message":"%d"}`, 9), "one more is too many")
	require.Zero(t, events(t, w, n, 1, `{"clear":"f1%d"}`, 9), "what is known can be cleared")
	taken, _ := claims(t, w, n, 1, `{"id":"f2%d","type":"flood","level":"high"}`)
	require.Equal(t, 1, taken, "one that is known is changed")
}

// A push-pull with hints that make no sense harms nothing: the good ones count, of records that
// are known or over there is no need, and none is taken for a record of the ledger (rule S3).
func TestBadHintsHarmNothing(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	hint := func(text string) []byte {
		r, err := emergency.Parse([]byte(text), 7, clock.HybridAt(w.now))
		require.NoError(t, err)
		return r.Encode()
	}
	dot := clock.Dot{Actor: "b~1", Counter: 1}
	ledgers, err := emergency.DecodeHint(hint(`{"id":"written","type":"flood","level":"low","by":"b~1"}`))
	require.NoError(t, err)
	ledgers.Created, ledgers.Dots = []clock.Dot{dot}, clock.NewVector(dot)
	s := wire.State{Version: wire.Version, From: "b", Emergencies: [][]byte{
		nil, []byte("nonsense"), {0x80}, make([]byte, emergency.MaxHint+1), hint(`{"clear":"cleared"}`),
		hint(`{"id":"over","type":"flood","level":"low","ttl":"1h","declared":1}`),
		hint(`{"id":"good","type":"flood","level":"low"}`), ledgers.Encode(),
	}}
	for i := range wire.MaxHints {
		s.Emergencies = append(s.Emergencies, hint(fmt.Sprintf(`{"id":"more-%d","type":"flood","level":"low"}`, i)))
	}
	b, _ := wire.EncodeState(&s, wire.MaxState, 0)
	s, err = wire.DecodeState(b)
	require.NoError(t, err)
	w.step(n, Gossip{State: s})
	require.Len(t, n.b.emergencies.known, wire.MaxHints-6, "no more than fit, and only those that are good")
	require.Contains(t, n.b.emergencies.known, emergency.ID("good"))
	require.True(t, n.b.emergencies.known["written"].IsHint())
	require.Zero(t, n.b.ledger.Wrote())
	require.Empty(t, w.errors)
}

// Who is asked right after an emergency was declared, changed or cleared shows it, also where it is not in force (the newcomer's
// 7th finding: for up to two seconds such a broker said that none was).
func TestAnEmergencyElsewhereIsShownAtOnce(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	shown := func(in Input) []*EmergencyView {
		w.step(n, in)
		rd := n.b.Ready()
		n.b.Advance(rd)
		require.NotNil(t, rd.Overview)
		return rd.Overview.Active
	}
	declare := func(text string) Input {
		d, err := emergency.ParseDeclaration([]byte(text))
		require.NoError(t, err)
		return Declare{Token: 1, Declaration: d}
	}
	active := shown(declare(`{"id":"f","type":"flood","level":"critical","scope":"district=7"}`))
	require.Len(t, active, 1)
	require.False(t, active[0].InScope)
	active = shown(declare(`{"id":"f","type":"flood","level":"critical","scope":"district=7","message":"pumps"}`))
	require.Equal(t, "pumps", active[0].Record.Terms.Message)
	require.Empty(t, shown(Clear{Token: 2, ID: "f"}))
}

// A clear waits for copies, and meanwhile the emergency is forgotten, since it is long over and a peer has forgotten it, too:
// the client is told what was written.
func TestAClearedEmergencyIsForgottenBeforeItsClientIsAnswered(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(c *Config) { c.Replicas = 2 })
	w.start("b", func(c *Config) { c.Replicas = 2 })
	w.meet()
	w.settle()
	w.step(n, Clear{Token: 7, ID: "quake-1", Force: true})
	n.b.emergencies.forget("quake-1")
	w.now = w.now.Add(n.b.cfg.AckTimeout)
	w.step(n, Tick{})
	var told *Declared
	for _, a := range n.b.Ready().Answers {
		if d, ok := a.Answer.(*Declared); ok && a.Token == 7 {
			told = d
		}
	}
	require.NotNil(t, told)
	require.Equal(t, emergency.ID("quake-1"), told.View.Record.ID)
	require.True(t, told.View.Record.Finished())
}

// Who remembers an emergency that was cleared is told by a push-pull of another life of it that is in force (rules S3, E6).
func TestAHintOfALaterLifeIsTaken(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	n.b.emergencies.known["quake-1"] = &emergency.Record{ID: "quake-1", Life: 1, Cleared: []emergency.Mark{{At: clock.HybridAt(w.now), By: "b~1"}}}
	r, err := emergency.Parse([]byte(`{"id":"quake-1","type":"earthquake","level":"low","by":"b~1","life":2}`), 7, clock.HybridAt(w.now))
	require.NoError(t, err)
	n.b.emergencies.takeHints([]*emergency.Record{r})
	require.False(t, n.b.emergencies.known["quake-1"].Finished())
	require.EqualValues(t, 2, n.b.emergencies.known["quake-1"].Life)
}
