package replication

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
)

// group is the replication of broker a among others, each in its first start.
type group struct {
	*pair
	names []string
}

func newGroup(t *testing.T, copies int, names ...string) *group {
	random := prng.Source(1)
	members := membership.New(membership.Config{Actor: "a~1"})
	l := ledger.New("a~1", nil, kind.Schemas[kind.Setting])
	g := &group{&pair{
		Replication: New(Config{Actor: "a~1", Copies: copies, SyncInterval: time.Minute, NewsLinks: true}, l, members, &random),
		t:           t, members: members, at: time.Unix(1_000_000, 0),
	}, nil}
	g.Tick(g.at)
	g.roster(names...)
	return g
}

// roster lets SWIM show these members, and no others.
func (g *group) roster(names ...string) {
	var list []membership.Member
	for _, name := range names {
		list = append(list, membership.Member{Name: name, Actor: clock.Actor(name + "~1"), HTTPAddr: name + ":1", Status: membership.Alive, Protocol: wire.Version})
	}
	c := g.members.Update(g.at, list)
	for _, name := range c.Gone {
		g.Drop(name)
	}
	for _, m := range list {
		g.Meet(m, c.Was[m.Name])
	}
	g.names = names
	g.Recount()
}

// tells lets a start of a member say what it holds and what is stable there.
func (g *group) tells(actor clock.Actor, holds, stable clock.Vector) {
	g.says(actor, holds, stable, false)
}

func (g *group) says(actor clock.Actor, holds, stable clock.Vector, unproven bool) {
	version := uint64(1)
	if l := g.links[actor.Broker()]; l.actor == actor {
		version = l.told.version + 1
	}
	c, told := clock.Tips(holds), &wire.Told{Version: version, Digest: wire.DigestOf(clock.Tips(holds), clock.Tips(stable)), Stable: clock.Tips(stable)}
	u, ok := g.Understand(actor.Broker(), actor, &c, told, nil)
	require.True(g.t, ok)
	require.True(g.t, g.Hear(Said{From: actor.Broker(), Actor: actor, Clock: c, Told: u, Unproven: unproven}))
}

func (g *group) stable() clock.Vector {
	g.Settle()
	g.commit()
	return clock.Vector(g.ledger.StableClock())
}

func (g *group) commit() { g.ledger.Take() }

// take lets a hold updates of others.
func (g *group) take(c clock.Vector) {
	_, err := g.ledger.Merge(ledger.Delta{Clock: clock.Tips(c)})
	require.NoError(g.t, err)
}

func vector(text ...string) (v clock.Vector) {
	for _, s := range text {
		var name string
		var start, n int
		if _, err := fmt.Sscanf(s, "%1s~%d:%d", &name, &start, &n); err != nil {
			panic(err)
		}
		v.Set(clock.Dot{Actor: clock.Actor(fmt.Sprintf("%s~%d", name, start)), Counter: uint64(n)})
	}
	return v
}

// F1: stable is what every member has told that it holds, as far as we hold what else it held then. It does not go
// back, whoever joins, and an entry moves as soon as nobody holds it back any more.
func TestStableIsWhatAllHold(t *testing.T) {
	g := newGroup(t, 3, "b", "c")
	d := g.write("x")
	require.Empty(t, g.stable())
	g.tells("b~1", vector("a~1:1"), nil)
	require.Empty(t, g.stable(), "c has told nothing")
	g.Await(clock.NewVector(d)) // otherwise it need not be written
	g.tells("c~1", vector("a~1:1", "c~1:1"), nil)
	require.Empty(t, g.stable(), "c held what we lack")
	g.take(vector("c~1:1"))
	require.Equal(t, vector("a~1:1"), g.stable())
	g.roster("b", "c", "d")
	require.Equal(t, vector("a~1:1"), g.stable())

	g.write("x")
	g.tells("b~1", vector("a~1:2", "c~1:1"), nil)
	g.tells("c~1", vector("a~1:2", "c~1:1"), nil)
	require.Equal(t, vector("a~1:1"), g.stable(), "d holds it back")
	g.members.Enroll(roll.Change(nil, "d", roll.Removed, clock.Dot{Actor: "a~1", Counter: 1}, 1))
	g.roster("b", "c")
	g.write("y") // a commit that it can go with
	require.Equal(t, vector("a~1:2", "c~1:1"), g.stable(), "d counts no more")
}

// F1: what is awaited is bounded, since what a liar has invented never becomes stable; what is awaited after that is written at once all the same.
func TestWhatIsAwaitedIsBounded(t *testing.T) {
	g := newGroup(t, 2, "b")
	d := g.write("x")
	for i := range 10 {
		var invented clock.Vector
		for j := range 1000 {
			invented = append(invented, clock.Dot{Actor: clock.Actor(fmt.Sprintf("b~%d%03d", i+1, j)), Counter: 1 << 40})
		}
		g.Await(invented)
		require.LessOrEqual(t, len(g.stability.awaited), maxAwaited)
		require.True(t, g.stability.awaited.Covers(invented))
	}
	g.Await(make(clock.Vector, 2*maxAwaited)) // of one record
	require.LessOrEqual(t, len(g.stability.awaited), maxAwaited)
	g.Await(clock.NewVector(d))
	g.tells("b~1", vector("a~1:1"), nil)
	require.Equal(t, vector("a~1:1"), g.stable())
}

// F1: what an earlier start of a member has told counts for nothing from the first message of another on, whether
// that asks or answers: its disk may be an older copy (H8).
func TestToldIsVoidWithItsStart(t *testing.T) {
	g := newGroup(t, 2, "b")
	d := g.write("x")
	dots := clock.NewVector(d)
	g.Await(dots)
	g.tells("b~1", dots, dots)
	require.Equal(t, dots, g.stable())
	require.True(t, g.Firm(dots))
	require.True(t, g.Forgettable(dots))
	g.tells("b~2", vector("b~2:1"), nil)
	require.Equal(t, dots, g.stable(), "what was stable stays so")
	require.False(t, g.Firm(dots), "although what it has told now does not count before we hold the same")
	require.False(t, g.Forgettable(dots))
	g.write("y")
	g.tells("b~2", vector("a~1:1", "b~2:1"), nil)
	require.Equal(t, dots, g.stable())
}

// F1: what a start has told is void from the first word of a later one, never by that of an earlier one, whatever SWIM
// says meanwhile; but a start that falls silent, and that SWIM does not have, mutes nobody for good.
func TestAnEarlierStartIsLate(t *testing.T) {
	g := newGroup(t, 2, "b")
	first, second := clock.StartActor("b", 1), clock.StartActor("b", 2)
	swim := func(actor clock.Actor) {
		m := membership.Member{Name: "b", Actor: actor, HTTPAddr: "b:1", Status: membership.Alive, Protocol: wire.Version}
		was := g.members.Update(g.at, []membership.Member{m}).Was["b"]
		g.Meet(m, was)
	}
	swim(first)
	dots := clock.NewVector(g.write("x"))
	g.Await(dots)
	g.tells(first, dots, dots)
	g.stable()
	require.True(t, g.Firm(dots))
	g.tells(second, nil, nil)
	require.False(t, g.Firm(dots))
	require.True(t, g.Superseded(first))
	require.False(t, g.Superseded(second))
	require.False(t, g.Superseded("b~1"), "it is of the version before")
	require.False(t, g.Superseded(clock.StartActor("c", 1)))

	g.tells(second, dots, dots)
	g.stable()
	require.True(t, g.Firm(dots))
	swim(first)
	require.True(t, g.Firm(dots), "SWIM is behind")
	require.Equal(t, second, g.links["b"].actor)
	g.pass(silentFor * time.Minute)
	require.True(t, g.Superseded(first))
	g.pass(time.Second)
	require.False(t, g.Superseded(first), "nobody has heard of the second any more")
	swim(second)
	require.True(t, g.Superseded(first))
	swim(first) // its disk was wiped, and its clock is behind
	require.False(t, g.Superseded(first))
	require.Equal(t, first, g.links["b"].actor)
}

// F2: an end is firm when as many as hold a copy have told that it is stable there, we among them, or all; F3: it
// may be forgotten when every member has.
func TestFirmTakesSeveral(t *testing.T) {
	g := newGroup(t, 3, "b", "c", "d")
	dots := clock.NewVector(g.write("x"))
	g.Await(dots)
	for _, name := range g.names {
		g.tells(clock.Actor(name+"~1"), dots, nil)
	}
	require.Equal(t, dots, g.stable())
	require.False(t, g.Firm(dots), "by our own word alone (H1)")
	g.tells("c~1", dots, dots)
	g.stable()
	require.False(t, g.Firm(dots))
	g.tells("d~1", vector("a~1:1", "d~1:1"), dots)
	g.stable()
	require.False(t, g.Firm(dots), "d holds what we lack: perhaps an end before this one")
	g.take(vector("d~1:1"))
	g.stable()
	require.True(t, g.Firm(dots))
	require.False(t, g.Forgettable(dots), "b has not told that (H3)")
	g.tells("b~1", dots, dots)
	g.stable()
	require.True(t, g.Forgettable(dots))

	pair := newGroup(t, 3, "b")
	dots = clock.NewVector(pair.write("x"))
	pair.Await(dots)
	pair.tells("b~1", dots, dots)
	pair.stable()
	require.True(t, pair.Firm(dots), "there are no more than two")
	alone := newGroup(t, 3)
	require.True(t, alone.Firm(nil))
	dots = clock.NewVector(alone.write("x"))
	require.False(t, alone.Firm(dots), "not yet")
	alone.stable()
	require.True(t, alone.Firm(dots))
}

// A start that is not proven seals by what was stable on its disk, whatever it tells by now: nobody counts on its word before
// it is proven, and nobody leaves what is firm to it (rules F2, M2).
func TestWhoIsNotProvenMakesNothingFirm(t *testing.T) {
	g := newGroup(t, 2, "b", "c")
	dots := clock.NewVector(g.write("x"))
	g.Await(dots)
	for _, name := range g.names {
		g.says(clock.Actor(name+"~1"), dots, nil, true)
	}
	require.Equal(t, dots, g.stable(), "its clock counts")
	for _, name := range g.names {
		g.says(clock.Actor(name+"~1"), dots, dots, true)
	}
	g.stable()
	require.False(t, g.Firm(dots))
	require.False(t, g.Forgettable(dots))
	require.Zero(t, g.HandOver().Stable)
	g.tells("b~1", dots, dots)
	g.stable()
	require.True(t, g.Firm(dots), "it is proven")
	require.False(t, g.Forgettable(dots))
	require.Equal(t, 1, g.HandOver().Stable)
	g.tells("c~1", dots, dots)
	g.stable()
	require.True(t, g.Forgettable(dots))
}

// A broker that was told of others and has met none does not know who counts.
func TestNothingIsStableBeforeTheFirstMeeting(t *testing.T) {
	random := prng.Source(1)
	members := membership.New(membership.Config{Actor: "a~1", Expecting: true})
	l := ledger.New("a~1", nil, kind.Schemas[kind.Setting])
	g := &group{&pair{Replication: New(Config{Actor: "a~1", Copies: 3}, l, members, &random), t: t, members: members}, nil}
	dots := clock.NewVector(g.write("x"))
	g.roster()
	require.Empty(t, g.stable())
	require.False(t, g.Firm(dots))
}

// The stable clock is computed entry by entry, as clocks come in: that equals the meet of all that the members have
// told, reckoned again each time.
func TestStableEqualsTheMeet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGroup(t, 3, "b", "c", "d")
		told := map[string]clock.Vector{}
		var want clock.Vector
		written := 0
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "who"); name {
			case "a":
				g.write(fmt.Sprintf("x%d", written))
				written++
			default:
				c := told[name].Clone()
				for _, actor := range []clock.Actor{"a~1", "b~1", "c~1", "d~1"} {
					most := uint64(written)
					if actor != "a~1" {
						most = 3
					}
					c.Set(clock.Dot{Actor: actor, Counter: rapid.Uint64Range(0, most).Draw(rt, string(actor))})
				}
				told[name] = c
				g.tells(clock.Actor(name+"~1"), c, nil)
				g.take(c)
			}
			meet := clock.Vector(g.ledger.Clock())
			for _, name := range g.names {
				for _, d := range meet.Clone() {
					if n := told[name].Get(d.Actor); n < d.Counter {
						meet.Cut(clock.Dot{Actor: d.Actor, Counter: n + 1})
					}
				}
			}
			want.Merge(meet)
			g.Await(want)
			if got := g.stable(); got.Compare(want) != clock.Equal {
				rt.Fatalf("%v is stable, not %v", got, want)
			}
		}
	})
}

// M2: who was out of the roll begins with an empty stable clock. What it told before counts no more from its first word
// on, also where we lack something of what it holds, and whatever comes late or is lost.
func TestWhatWasToldBeforeAReturn(t *testing.T) {
	g := newGroup(t, 2, "b")
	first, second := clock.NewVector(g.write("x")), clock.NewVector(g.write("y"))
	g.Await(second)
	say := func(t wire.Told, holds ...string) (understood bool) {
		c := clock.Tips(vector(holds...))
		if t.Digest == 0 {
			t.Digest = wire.DigestOf(c, t.Stable)
		}
		u, ok := g.Understand("b", "b~1", &c, &t, nil)
		if ok {
			require.True(g.t, g.Hear(Said{From: "b", Actor: "b~1", Clock: c, Told: u}))
		}
		g.stable()
		return ok
	}
	old := wire.Told{Version: 5, Stable: clock.Tips(second)}
	require.True(t, say(old, "a~1:2"))
	require.True(t, g.Firm(second))
	require.True(t, say(wire.Told{Version: 6, Began: 6}, "a~1:2", "b~1:1"))
	require.False(t, g.Firm(first), "we lack b~1:1")
	require.True(t, say(old, "a~1:2"))
	require.False(t, g.Firm(first), "it comes late")
	g.take(vector("b~1:1"))
	g.stable()
	require.False(t, g.Firm(first))
	require.True(t, say(wire.Told{Version: 7, Began: 6, Stable: clock.Tips(first)}, "a~1:2", "b~1:1"))
	require.True(t, g.Firm(first))
	require.False(t, g.Firm(second))
	require.False(t, say(wire.Told{Version: 10, Began: 9, Since: 9, Digest: 1}, "a~1:2", "b~1:1"))
	require.False(t, g.Firm(first), "it leans on what is lost, and is another beginning")
}

// M2: what others have told a broker that starts over no longer counts there, and what it told before no longer counts with them.
func TestBeginAnew(t *testing.T) {
	g := newGroup(t, 2, "b")
	dots := clock.NewVector(g.write("x"))
	g.Await(dots)
	g.tells("b~1", dots, dots)
	require.Equal(t, dots, g.stable())
	require.True(t, g.Firm(dots))
	g.BeginAnew()
	g.Recount()
	g.Await(dots)
	require.Empty(t, g.stable())
	_, said := g.tell(g.links["b"], wire.Version)
	require.Empty(t, said.Stable)
	require.Equal(t, said.Version, said.Began)
	g.tells("b~1", dots, nil)
	require.Equal(t, dots, g.stable(), "it has told its clock again")
	require.False(t, g.Firm(dots))
	g.tells("b~1", dots, dots)
	require.Equal(t, dots, g.stable())
	require.True(t, g.Firm(dots))
}

// The stable clock waits for a commit that is made anyhow, unless somebody waits for it; then as many ring
// successors as a firm answer takes hear of it soon.
func TestStableTravelsWhenSomebodyWaits(t *testing.T) {
	g := newGroup(t, 2, "b", "c")
	g.pass(2 * time.Minute)
	g.pump()
	dots := clock.NewVector(g.write("x"))
	g.commit()
	for _, name := range g.names {
		g.tells(clock.Actor(name+"~1"), dots, nil)
		g.Answered(name, false)
	}
	require.Empty(t, g.stable(), "nobody waits")
	g.pass(time.Second)
	require.Empty(t, g.pump())
	g.Await(dots)
	require.Equal(t, dots, g.stable())
	sent := g.pump()
	require.Len(t, sent, 1)
	require.Equal(t, g.members.Ring()[0], sent[0].To)
	require.Equal(t, dots, clock.Vector(sent[0].Message.Told.Stable))
}

// F1, K1: what a new start stands for is held by all before all know the start, and the start takes its place when they do.
func TestStableIsOneTipAName(t *testing.T) {
	g := newGroup(t, 3, "b", "c")
	first, second := clock.StartActor("d", 1), clock.StartActor("d", 2)
	row := &ledger.Row{Actor: second, Parents: clock.Tips{{Actor: first, Counter: 5}}}
	late := clock.NewVector(clock.Dot{Actor: second, Counter: 2})
	_, err := g.ledger.Merge(ledger.Delta{
		Entries: []ledger.Entry{{Ref: ledger.Ref{Kind: ledger.Starts, Key: row.Key()}, Record: row, Dots: row.Writers(), Encoded: row.Encode()}},
		Clock:   clock.Tips(late),
	})
	require.NoError(t, err)
	g.Await(late)
	g.tells("c~1", clock.NewVector(clock.Dot{Actor: first, Counter: 3}), nil)
	require.Empty(t, g.stable())
	g.tells("b~1", late, nil)
	g.Await(clock.NewVector(clock.Dot{Actor: first, Counter: 5}))
	require.Equal(t, "{d~0000000000000001:3}", g.stable().String(), "c has nothing of the second start")
	g.tells("c~1", clock.NewVector(clock.Dot{Actor: first, Counter: 5}), nil)
	require.Equal(t, "{d~0000000000000001:5}", g.stable().String())
	g.tells("c~1", clock.NewVector(clock.Dot{Actor: second, Counter: 1}), nil)
	require.Equal(t, "{d~0000000000000002:1}", g.stable().String())
	require.True(t, g.lineage.HasAll(g.ledger.StableClock(), clock.NewVector(clock.Dot{Actor: first, Counter: 5})))
}
