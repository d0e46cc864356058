package replication

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// arrives lets b, of which this is what it knows of a, get what a says to it now.
func (g *group) arrives(theirs *link) (u Understood, ok bool) {
	m := g.say("b", Head{})
	m, err := wire.DecodeMessage(wire.Encode(&m))
	require.NoError(g.t, err)
	u, ok = g.understand(theirs, m.Clock, m.Told)
	switch {
	case !ok:
		theirs.told = Understood{}
	case !u.late:
		theirs.told = u
	}
	return u, ok
}

// hears lets a hear from b which version of its clocks that one has heard.
func (g *group) hears(theirs *link) {
	require.True(g.t, g.Hear(Said{From: "b", Actor: "b~1", Clock: g.ledger.Clock(), ToldHeard: theirs.told.version}))
}

// K4: whatever becomes of messages, and whoever forgets what it has heard, a message is understood as what its sender holds or not
// at all; the one after the receiver has said so is. What a member has heard it is not told again.
func TestClocksAreToldOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGroup(t, 2, "b", "c")
		theirs := &link{}
		lost := false // what a takes b to have heard may be forgotten there
		for i := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if i == 0 || rapid.Bool().Draw(rt, "something is written") {
				g.write(fmt.Sprintf("x%d", i))
			}
			if rapid.Bool().Draw(rt, "of others") {
				name := rapid.SampledFrom([]string{"c", "d", "e"}).Draw(rt, "whose")
				g.take(vector(fmt.Sprintf("%s~%d:%d", name, rapid.IntRange(1, 3).Draw(rt, "start"), i+1)))
			}
			c := clock.Vector(g.ledger.Clock())
			g.Await(c)
			g.tells("c~1", c, nil)
			if rapid.Bool().Draw(rt, "b has said what it has heard") {
				g.hears(theirs)
				lost = false
			}
			g.Settle()
			g.commit()
			if knows := g.links["b"].knows; knows > 0 && knows == theirs.told.version && g.ledger.Clock().Equal(theirs.told.clock) && g.ledger.StableClock().Equal(theirs.told.stable) {
				if _, told := g.tell(g.links["b"], wire.Version); len(told.Clock)+len(told.Stable) > 0 {
					rt.Fatalf("b has heard version %d, and is told %v again", knows, told)
				}
			}
			switch rapid.SampledFrom([]string{"arrives", "lost", "forgotten"}).Draw(rt, "message") {
			case "arrives":
				u, ok := g.arrives(theirs)
				if !ok && !lost {
					rt.Fatalf("b does not understand version %d", g.telling.version)
				}
				if ok && (!u.clock.Equal(g.ledger.Clock()) || !u.stable.Equal(g.ledger.StableClock())) {
					rt.Fatalf("b has heard %v and %v, not %v and %v", u.clock, u.stable, g.ledger.Clock(), g.ledger.StableClock())
				}
				lost = lost || !ok
			case "forgotten":
				theirs, lost = &link{}, true
			}
		}
		g.hears(theirs)
		_, ok := g.arrives(theirs)
		require.True(rt, ok, "b has said what it knows")
	})
}

// K4: a message that later ones have overtaken says nothing new, and one that leans on what was forgotten, or on what the sender
// holds otherwise now since its memory was restored, is not half believed.
func TestWhatIsNotUnderstood(t *testing.T) {
	g := newGroup(t, 2, "b", "c")
	l := g.links["b"]
	whole := func(version uint64, c, s clock.Vector) *wire.Told {
		return &wire.Told{Version: version, Digest: wire.DigestOf(clock.Tips(c), clock.Tips(s)), Stable: clock.Tips(s)}
	}
	hear := func(c clock.Vector, told *wire.Told) (Understood, bool) {
		at := clock.Tips(c)
		u, ok := g.Understand("b", "b~1", &at, told, nil)
		if ok {
			g.Hear(Said{From: "b", Actor: "b~1", Clock: at, Told: u})
		}
		return u, ok
	}
	_, ok := hear(vector("a~1:2"), whole(2, vector("a~1:2"), vector("a~1:1")))
	require.True(t, ok)
	u, ok := hear(vector("a~1:1"), whole(1, vector("a~1:1"), nil))
	require.True(t, ok)
	require.True(t, u.late)
	require.Equal(t, vector("a~1:2"), clock.Vector(l.known), "what it has said later")
	require.Equal(t, vector("a~1:1"), clock.Vector(l.latest.stable))

	more := &wire.Told{Version: 3, Since: 2, Clock: clock.Tips(vector("b~1:1")), Digest: wire.DigestOf(clock.Tips(vector("a~1:2", "b~1:1")), clock.Tips(vector("a~1:1")))}
	_, ok = hear(nil, more)
	require.True(t, ok)
	require.Equal(t, vector("a~1:2", "b~1:1"), clock.Vector(l.known))

	other := &wire.Told{Version: 3, Since: 3, Digest: 7}
	_, ok = hear(nil, other)
	require.False(t, ok, "version 3 was another one")
	require.Zero(t, l.told.version, "so the sender says all")
	_, ok = hear(nil, more)
	require.False(t, ok, "it is not known what version 2 was")
	require.Equal(t, vector("a~1:2", "b~1:1"), clock.Vector(l.known))
}

// K4: a delta goes on from what the receiver has told, if that is what it lacks something since; the receiver knows its own words
// again, those of another start it does not.
func TestDeltasGoOnFromWhatWasTold(t *testing.T) {
	g := newGroup(t, 2, "b", "c")
	g.take(vector("c~1:5"))
	g.write("x")
	g.tells("b~1", vector("c~1:5"), nil)
	m := g.links["b"].delta(must(g.ledger.Delta(clock.Tips(vector("c~1:5")), wire.MaxPage)))
	require.Equal(t, g.links["b"].told.digest, m.Base)
	sent, err := wire.DecodeMessage(wire.Encode(&wire.Message{Version: wire.Version, From: "a", Actor: "a~1", Delta: m}))
	require.NoError(t, err)
	require.Empty(t, sent.Delta.Since)
	require.Equal(t, vector("a~1:1"), clock.Vector(sent.Delta.Clock), "what both hold is left out")

	b := newGroup(t, 2, "a", "c")
	c := clock.Tips(nil)
	_, ok := b.Understand("a", "a~1", &c, sent.Told, sent.Delta)
	require.False(t, ok, "it has not told that")
	b.take(vector("c~1:5"))
	b.say("a", Head{})
	b.write("y") // and holds more by now
	_, ok = b.Understand("a", "a~1", &c, sent.Told, sent.Delta)
	require.True(t, ok)
	require.Equal(t, b.ledger.Clock(), sent.Delta.Since)
}

func must[T any](v T, _ bool, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// R2, K4: news beside a transfer goes without a clock, which is that of its message. When later messages have overtaken that, it is not
// known any more which one that was: what the sender holds by now did not all come with it.
func TestLateNews(t *testing.T) {
	for late, want := range map[bool]string{false: "{b~1:1}", true: "{}"} {
		g := newGroup(t, 2, "b", "c")
		g.tells("b~1", vector("b~1:1"), nil)
		if late {
			g.tells("b~1", vector("b~1:9"), nil)
		}
		m := &wire.Message{From: "b", Actor: "b~1", Delta: &wire.Delta{}}
		m.Told = &wire.Told{Version: 1, Since: 1, Digest: wire.DigestOf(clock.Tips(vector("b~1:1")), nil)}
		u, ok := g.Understand("b", "b~1", &m.Clock, m.Told, m.Delta)
		require.True(t, ok)
		g.Hear(Said{From: "b", Actor: "b~1", Clock: m.Clock, Told: u})
		got := g.Receive(m, func(d ledger.Delta) ledger.Merged {
			merged, err := g.ledger.Merge(d)
			require.NoError(t, err)
			return merged
		})
		require.Equal(t, want, g.ledger.Clock().String(), "late: %v", late)
		require.False(t, got.Taken)
	}
}

// L9, K4: where both have the same unfinished records the answer says so in a word, provided that the asker knows what the other
// holds now; otherwise it gets the digest, as one of the version before does.
func TestSameRecordsAreSaidInAWord(t *testing.T) {
	a, b := newGroup(t, 2, "b", "c"), newGroup(t, 2, "a", "c")
	a.take(vector("c~1:1"))
	b.take(vector("c~1:1"))
	ask := func() *wire.Reply {
		a.pass(2 * time.Minute)
		a.Answered("b", false)
		m, ok, err := a.message("b", Head{}, true)
		require.NoError(t, err)
		require.True(t, ok)
		u, ok := b.Understand("a", "a~1", &m.Clock, m.Told, m.Delta)
		require.True(t, ok)
		b.Hear(Said{From: "a", Actor: "a~1", Clock: m.Clock, Told: u, ToldHeard: m.ToldHeard})
		reply, err := b.Reply(&m, Head{}, Received{})
		require.NoError(t, err)
		reply.From, reply.Actor = "b", "b~1" // both groups are of a broker a
		u, ok = a.Understand("b", "b~1", &reply.Clock, reply.Told, nil)
		require.True(t, ok)
		a.Hear(Said{From: "b", Actor: "b~1", Clock: reply.Clock, Told: u, ToldHeard: reply.ToldHeard})
		return reply
	}
	require.Len(t, ask().Live, ledger.DigestSize, "nothing is known yet")
	reply := ask()
	require.True(t, reply.LiveSame)
	require.Empty(t, reply.Live)
	a.links["b"].audit = audit{}
	a.Audited(reply, false)
	require.True(t, a.links["b"].audit.done, "that is an audit")

	b.take(vector("c~1:2")) // of a record that it has forgotten, perhaps, and that a holds
	require.Len(t, ask().Live, ledger.DigestSize, "a did not know that")
	require.True(t, ask().LiveSame)
}

// K4: what a member has heard of us is followed by a later version, also when our memory is older than that; but a member
// that says that it has heard the last version there is leaves us others to tell.
func TestVersionsExceedWhatWasHeard(t *testing.T) {
	g := newGroup(t, 2, "b", "c")
	heard := func(version uint64) *wire.Told {
		require.True(t, g.Hear(Said{From: "b", Actor: "b~1", Clock: g.ledger.Clock(), ToldHeard: version}))
		_, told := g.tell(g.links["b"], wire.Version)
		return told
	}
	g.write("x")
	told := heard(1000)
	require.EqualValues(t, 1001, told.Version)
	require.Zero(t, told.Since, "it can't know what b has heard then")
	require.EqualValues(t, 1001, heard(1001).Since)
	for _, lie := range []uint64{clock.MaxCounter/2 - 1, clock.MaxCounter - 1, clock.MaxCounter, 1<<64 - 1} {
		told = heard(lie)
		require.Zero(t, told.Since)
		require.LessOrEqual(t, told.Version, uint64(clock.MaxCounter/2))
	}
}
