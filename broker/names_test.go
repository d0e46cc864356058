package broker

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// Of a name that is there nobody is believed that he has forgotten it, until every other member says so; of one of which nothing
// is there the first one is (rule D4).
func TestWhoHasForgottenAName(t *testing.T) {
	w := newWorld()
	for _, name := range []string{"a", "b", "c"} {
		w.start(name, func(*Config) {})
	}
	w.meet()
	w.settle()
	a := w.nodes["a"]
	put := func(name data.Name) {
		w.ask(a, "put", func(Token) Input {
			return PutData{Name: name, Content: data.Content{Digest: digestOf("f"), Size: 1}}
		})
		w.ready(a)
	}
	put("there")
	put("gone")
	w.ask(a, "remove", func(Token) Input { return RemoveData{Name: "gone"} })
	w.ready(a)
	says := func(from string, name data.Name, covers clock.Tips) bool {
		a.b.names.forgetWith(from, name, covers)
		return a.b.names.get(name) == nil
	}
	all := a.b.ledger.Clock()
	require.False(t, says("b", "gone", clock.Tips{}), "its creation is news to b")
	require.True(t, says("b", "gone", all))
	require.False(t, says("b", "there", all))
	require.False(t, says("b", "there", all), "it is one member's word")
	w.ask(a, "put", func(Token) Input {
		return PutData{Name: "there", Content: data.Content{Digest: digestOf("e"), Size: 1}}
	})
	w.ready(a)
	require.False(t, says("c", "there", a.b.ledger.Clock()), "what b said was of what was there before")
	require.True(t, says("b", "there", a.b.ledger.Clock()))
	require.NotNil(t, a.disk, "the store")
}

// What is shortened is written as it is then, and is no update (rule D4).
func TestShortenIsNoUpdate(t *testing.T) {
	l := ledger.New("a~1", nil, kind.Schemas[kind.Data])
	ref := kind.DataRef("n")
	for i := range 2 {
		_, err := l.Apply(ref, func(dot clock.Dot, old ledger.Record) ledger.Record {
			r, _ := old.(*data.Record)
			return data.Put("n", r, data.Content{Digest: digestOf("ab"[i : i+1])}, 1, dot)
		})
		require.NoError(t, err)
	}
	_, err := l.Apply(ref, func(dot clock.Dot, old ledger.Record) ledger.Record {
		last := old.(*data.Record).Latest().Dot
		return old.(*data.Record).Remove(func(v *data.Version) bool { return v.Dot != last }, 3, false, dot)
	})
	require.NoError(t, err)
	l.Stable(l.Take())
	before := l.Clock()
	r, err := l.Get(ref)
	require.NoError(t, err)
	require.NoError(t, l.Shorten(ref, r.(*data.Record).Trimmed()))
	require.NoError(t, l.Shorten(kind.DataRef("m"), r))
	require.Equal(t, before, l.Clock())
	ops := l.Take().Ops()
	require.Len(t, ops, 1)
	back, err := data.Decode(ops[0].Value)
	require.NoError(t, err)
	require.Len(t, back.Versions, 1)
	require.Equal(t, r.Writers(), back.Writers())
}

// A peer whose clock is a year ahead has written a name, and this broker writes it in view of that, with a stamp behind: at its next start
// the clock of this broker is still its own (rule I3).
func TestAStampAheadStaysWithItsName(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	ahead := clock.HybridAt(w.now.Add(365 * 24 * time.Hour))
	n.b.names.write("n/x", func(dot clock.Dot, _ *data.Record) *data.Record {
		return data.Put("n/x", nil, data.Content{Digest: digestOf("f"), Size: 1}, ahead, dot)
	})
	w.ready(n)
	w.boot(n, "a~9")
	w.step(n, Tick{})
	require.Less(t, n.b.stamp(), clock.HybridAt(w.now.Add(time.Hour)))
}

// A job whose outputs would become names is refused when there are as many as may be, and a full broker remembers no names to be
// looked at: it looks at all afterwards.
func TestNamesAreBounded(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.settle()
	n.b.offer.full = true
	for i := range 1000 {
		n.b.names.look(data.Name(fmt.Sprint("n", i)))
	}
	require.Empty(t, n.b.names.copies.todo)
	n.b.offer.full = false
	for range 1000 {
		n.b.names.look("n")
	}
	require.Len(t, n.b.names.copies.todo, 1)
	for i := range mostNames {
		n.b.names.sorted.ReplaceOrInsert(data.Name(fmt.Sprint("n", i)))
	}
	w.step(n, Submit{Token: 5, ID: "j1", Spec: job.Spec{Command: "work", Driver: job.Process, Outputs: []string{"o"}, NamedOutputs: map[string]string{"o": "n/x"}}})
	answers := n.b.Ready().Answers
	require.Len(t, answers, 1)
	require.IsType(t, &DataRefused{}, answers[0].Answer)
}

// Where all others have left, nobody's word makes a name that is there forgotten; where all say so, who waits for the name is told.
func TestWhoForgetsANameThatIsThere(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	write := func() *data.Record {
		return n.b.names.write("n/x", func(dot clock.Dot, old *data.Record) *data.Record {
			return data.Put("n/x", old, data.Content{Digest: digestOf("f"), Size: 1}, n.b.stamp(), dot)
		})
	}
	w.settle()
	write()
	n.b.names.forgetWith("z", "n/x", n.b.ledger.Clock())
	require.NotNil(t, n.b.names.get("n/x"))

	w.start("b", func(*Config) {})
	w.meet()
	w.settle()
	w.step(n, AwaitData{Token: 5, Name: "n/x", Known: write().Latest().Dot})
	n.b.names.forgetWith("b", "n/x", n.b.ledger.Clock())
	require.Nil(t, n.b.names.get("n/x"))
	for _, x := range n.b.Ready().Answers {
		if x.Token == 5 {
			require.IsType(t, &NoSuchData{}, x.Answer)
			return
		}
	}
	require.Fail(t, "it still waits")
}

// Since when versions are old is stored for each of them. What an earlier version has stored counts for all, and what makes no sense lets
// them be young (rules T1, D3).
func TestAgesOfVersionsAreStored(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(c *Config) { c.DataRetention = time.Hour })
	w.settle()
	names := &n.b.names
	for i := range 3 {
		n.b.up = time.Duration(i) * time.Minute
		names.write("n/x", func(dot clock.Dot, old *data.Record) *data.Record {
			return data.Put("n/x", old, data.Content{Digest: digestOf("abc"[i : i+1])}, n.b.stamp(), dot)
		})
	}
	dots := []clock.Dot{}
	for v := range names.get("n/x").Old() {
		dots = append(dots, v.Dot)
	}
	want := names.ages["n/x"]
	require.Equal(t, map[clock.Dot]time.Duration{dots[0]: 2 * time.Minute, dots[1]: time.Minute}, want.old)
	require.Equal(t, time.Minute, want.oldest)
	stored := want.encode()
	names.ages = map[data.Name]dataAge{}
	require.True(t, names.recallAge("n/x", stored))
	require.Equal(t, want, names.ages["n/x"])
	require.True(t, names.recallAge("n/x", binary.AppendUvarint(nil, 60_000)), "of an earlier version")
	require.Equal(t, map[clock.Dot]time.Duration{dots[0]: time.Minute, dots[1]: time.Minute}, names.ages["n/x"].old)
	for i := range stored {
		if a, ok := decodeDataAge(stored[:i]); ok {
			require.Less(t, len(a.old), 2)
		}
	}
	for _, bad := range [][]byte{nil, {1, 1, 1, 200, 1}, binary.AppendUvarint(nil, 1<<63), append(stored, 0)} {
		require.False(t, names.recallAge("n/x", bad), "%x", bad)
	}
	require.False(t, names.recallAge("n/y", stored), "it is gone")
}
