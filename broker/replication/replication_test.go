package replication

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/register"
	"github.com/urban-compute/ucp/setting"
)

// pair is the replication of broker a with one member b, whose time passes by hand.
type pair struct {
	*Replication
	t       *testing.T
	members *membership.Membership
	at      time.Time
}

func newPair(t *testing.T) *pair {
	random := prng.Source(1)
	members := membership.New(membership.Config{Actor: "a~1"})
	l := ledger.New("a~1", nil, kind.Schemas[kind.Setting])
	p := &pair{
		Replication: New(Config{Actor: "a~1", SyncInterval: time.Minute, NewsLinks: true}, l, members, &random),
		t:           t, members: members, at: time.Unix(1_000_000, 0),
	}
	p.Tick(p.at)
	p.see("b~1")
	return p
}

// see lets SWIM show the member with an actor.
func (p *pair) see(actor clock.Actor) {
	m := membership.Member{Name: "b", Actor: actor, HTTPAddr: "b:1", Status: membership.Alive}
	c := p.members.Update(p.at, []membership.Member{m})
	p.Meet(m, c.Was["b"])
}

func (p *pair) pass(d time.Duration) {
	p.at = p.at.Add(d)
	p.Tick(p.at)
}

// hear lets the member tell its clock.
func (p *pair) hear(actor clock.Actor, c clock.Tips) {
	require.True(p.t, p.Hear(Said{From: "b", Actor: actor, Clock: c}))
}

func (p *pair) pump() []Send {
	out, err := p.Pump(func() Head { return Head{} })
	require.NoError(p.t, err)
	return out
}

// write makes an update of this broker, and returns its dot.
func (p *pair) write(name string) clock.Dot {
	r, err := p.ledger.Apply(kind.SettingRef(name), func(dot clock.Dot, _ ledger.Record) ledger.Record {
		return &setting.Setting{Name: name, Value: "v", Seq: 1, At: 1, By: dot.Actor, Register: register.New(dot)}
	})
	require.NoError(p.t, err)
	return r.Writers()[0]
}

// What a member holds is known from its own words, and only from those of its present start.
func TestKnowledgeDiesWithItsStart(t *testing.T) {
	p := newPair(t)
	d := p.write("x")
	require.False(t, p.HoldsUpdate("b", d))
	p.hear("b~1", clock.NewTips(d))
	require.True(t, p.HoldsUpdate("b", d))
	by, of := p.Covered(clock.NewVector(d))
	require.Equal(t, [2]int{2, 2}, [2]int{by, of})

	p.see("b~2") // SWIM knows of the new start before it speaks
	require.False(t, p.HoldsUpdate("b", d))
	p.hear("b~2", clock.NewTips(d))
	require.True(t, p.HoldsUpdate("b", d))
	p.hear("b~3", nil) // the new start speaks before SWIM knows of it: its disk was wiped
	require.False(t, p.HoldsUpdate("b", d))
	require.True(t, p.HoldsUpdate("b", clock.Dot{Actor: "b~3", Counter: 7}), "its own updates it holds")
}

// Nothing is lacking only when we also hold all that the member has told.
func TestLacksNothing(t *testing.T) {
	p := newPair(t)
	d := p.write("x")
	ahead := clock.NewTips(d, clock.Dot{Actor: "b~1", Counter: 1})
	p.hear("b~1", ahead)
	require.True(t, p.HoldsUpdate("b", d))
	require.False(t, p.LacksNothing())
	s := &setting.Setting{Name: "y", Value: "v", Seq: 1, At: 1, By: "b~1", Register: register.New(clock.Dot{Actor: "b~1", Counter: 1})}
	_, err := p.ledger.Merge(ledger.Delta{
		Entries: []ledger.Entry{{Ref: kind.SettingRef("y"), Dots: s.Dots, Record: s, Encoded: s.Encode()}}, Clock: clock.Tips(s.Dots),
	})
	require.NoError(t, err)
	require.True(t, p.LacksNothing())
}

// One message is under way at a time; a member that does not answer is left alone for longer
// each time, up to half a minute, and others' news stays marked (rule S5).
func TestBackoff(t *testing.T) {
	p := newPair(t)
	p.pass(maxLag)
	require.Len(t, p.pump(), 1)
	p.write("x")
	p.Tell(clock.NewVector(clock.Dot{Actor: "a~1", Counter: 1}), true, 1)
	require.Empty(t, p.pump(), "one is under way")
	for _, most := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		p.Unreachable("b", false)
		due := p.Due().Sub(p.at)
		require.LessOrEqual(t, due, most)
		require.GreaterOrEqual(t, due, most/2)
		require.Empty(t, p.pump())
		p.pass(due)
		require.Len(t, p.pump(), 1)
	}
	p.Answered("b", false)
	p.hear("b~1", nil)
	require.NotEmpty(t, p.pump()[0].Message.Delta.Records, "what it was to be told is told at once")
}

// Of whom others have news is asked at once, whatever pause there was, but not more often than twice a second: news of
// thousands of records may come while its address refuses each attempt (rules P1, S5).
func TestRetryIsLimited(t *testing.T) {
	p := newPair(t)
	p.pass(maxLag)
	for range 8 { // its pause is half a minute now
		require.Len(t, p.pump(), 1)
		p.Unreachable("b", false)
		p.pass(p.Due().Sub(p.at))
	}
	require.Len(t, p.pump(), 1)
	p.Unreachable("b", false)
	asked := 0
	for range 100 {
		p.pass(50 * time.Millisecond)
		p.Retry("b")
		if n := len(p.pump()); n > 0 {
			asked += n
			p.Unreachable("b", false)
		}
	}
	require.InDelta(t, 9, asked, 1, "in five seconds")
}

// The exchange is stretched under pressure, and brokers spread out (rules S2, S5).
func TestIntervalIsStretched(t *testing.T) {
	p := newPair(t)
	for given, want := range map[float64]float64{0: 1, 1: 1, 1.5: 1.5, 2: 2, 9: 2} {
		p.SetStretch(given)
		require.Equal(t, want, p.Stretch())
		for range 20 {
			require.LessOrEqual(t, p.interval(), time.Duration(want*float64(time.Minute)))
			require.GreaterOrEqual(t, p.interval(), time.Duration(want*0.89*float64(time.Minute)))
		}
	}
}

// What a broker remembers from before its start waits for its proof; alone it waits 5 s, and with somebody who does
// not answer a sync interval. Then it goes on, and is not proven all the same (rule M3).
func TestWhatIsOldGoesOnWithoutProof(t *testing.T) {
	p := newPair(t)
	p.Distrust(10)
	require.True(t, p.HoldsBack(10))
	require.False(t, p.HoldsBack(11), "it was created since")
	p.pass(aloneAfter)
	require.False(t, p.Prove(), "b is there, and may yet answer")
	require.Equal(t, time.Minute-aloneAfter, p.ProofDue().Sub(p.at))
	p.members.Update(p.at, []membership.Member{{Name: "b", Actor: "b~1", Status: membership.Failed}})
	require.True(t, p.Prove(), "nobody is there")
	require.False(t, p.HoldsBack(10))
	require.False(t, p.Proven())
	require.True(t, p.ProofDue().IsZero())
}

// A leaving broker is told how far the others are with what it wrote, in all its starts, and
// asks again whoever is not known to have it.
func TestHandOver(t *testing.T) {
	p := newPair(t)
	d := p.write("x")
	require.Equal(t, Handover{Holders: 1}, p.HandOver())
	p.hear("b~1", clock.NewTips(d))
	require.Equal(t, Handover{Holders: 2, Stable: 1, Living: true, All: true}, p.HandOver())
	p.ledger.RaiseStable(clock.NewTips(d))
	require.Equal(t, Handover{Holders: 2, Living: true, All: true}, p.HandOver(), "b has not told it as stable (H5)")
	require.Equal(t, p.links["b"].plain.asked.Add(backoffMin), p.links["b"].exchange, "it is asked soon")
	require.True(t, p.Hear(Said{From: "b", Actor: "b~1", Clock: clock.NewTips(d), Told: Understood{told: told{clock.NewTips(d), clock.NewTips(d)}, version: 2}}))
	require.Equal(t, Handover{Holders: 2, Stable: 1, Living: true, All: true}, p.HandOver())
	p.members.Update(p.at, []membership.Member{{Name: "b", Actor: "b~1", Status: membership.Failed}})
	require.Equal(t, Handover{Holders: 1, Living: true, All: true}, p.HandOver())
	p.members.Update(p.at, []membership.Member{{Name: "b", Actor: "b~1", Status: membership.Left}})
	require.Equal(t, Handover{Holders: 1, Living: true, All: true}, p.HandOver(), "nobody waits for one that has left")
}

// To each member we speak the highest version that both know, and answer in the one in which we were
// asked: a broker of version 1 refuses all others (rule K5).
func TestEachIsSpokenToInItsVersion(t *testing.T) {
	p := newPair(t)
	for protocol, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: wire.Version, 10: wire.Version} {
		m := membership.Member{Name: "b", Actor: "b~1", HTTPAddr: "b:1", Status: membership.Alive, Protocol: protocol}
		p.members.Update(p.at, []membership.Member{m})
		p.pass(2 * time.Minute)
		p.Answered("b", false)
		require.Equal(t, want, p.pump()[0].Message.Version, "to one that speaks %d", protocol)
	}
	for _, v := range []int{1, 2} {
		m := &wire.Message{Version: v, From: "b", Actor: "b~1"}
		reply, err := p.Reply(m, Head{}, Received{})
		require.NoError(t, err)
		require.Equal(t, v, reply.Version)
		require.Equal(t, v, p.Unheard(m, 0).Version)
	}
}

// Of more disputed records than fit into a question the next ones are asked for with the next, so that none has to wait for those
// before it (rule F3).
func TestEachDisputedRecordIsAskedFor(t *testing.T) {
	p := newPair(t)
	p.hear("b~1", nil)
	refs := make([]ledger.Ref, wire.MaxAudit+2)
	for i := range refs {
		refs[i] = kind.JobRef(fmt.Sprintf("j%05d", i))
	}
	p.Ask(refs)
	asked := map[ledger.Ref]bool{}
	for range 2 {
		p.links["b"].inquire = true
		q := p.inquiry(p.links["b"], nil)
		require.Len(t, q.Records, wire.MaxAudit)
		for _, ref := range q.Records {
			asked[ref] = true
		}
	}
	require.Len(t, asked, len(refs))
	p.Ask(refs[:1]) // the others have ended
	require.Equal(t, refs[:1], p.inquiry(p.links["b"], nil).Records)
}

// A transfer whose last page was taken, and not its clock, since the member refuses one of its records, does not begin again at once:
// it would go on without end. Only what was written since its start goes then, if the clock was taken (rules L5, L10).
func TestTransferThatIsRefusedEnds(t *testing.T) {
	for adopted, again := range map[bool]bool{true: true, false: false} {
		p := newPair(t)
		pinned := clock.NewTips(p.write("x"))
		p.hear("b~1", nil)
		l := p.links["b"]
		l.outgoing = outgoing{transfer: p.ledger.Pin(nil), last: true, pinned: pinned}
		p.write("y")
		l.news = false
		if adopted {
			p.hear("b~1", pinned)
		}
		p.Progress(&wire.Reply{Version: wire.Version, From: "b", Actor: "b~1"}, true)
		require.Nil(t, l.outgoing.transfer)
		require.Equal(t, again, l.news, "adopted: %v", adopted)
	}
}
