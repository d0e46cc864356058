package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
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
