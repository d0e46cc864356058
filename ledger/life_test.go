package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// A record that another one replaces, as another life of an emergency does (rule E6), leaves no update of the old one in the index: nobody who lacks
// that is told of it.
func TestAnotherLifeLeavesNoUpdateBehind(t *testing.T) {
	replaces := SchemaOf(setKind, decodeSet, func(_, b *set) (*set, bool) { return b, true })
	l := New("c~1", nil, replaces)
	one, other := clock.Dot{Actor: "a~1", Counter: 1}, clock.Dot{Actor: "b~1", Counter: 1}
	for _, d := range []clock.Dot{one, other} {
		s := &set{key: "x", dots: []clock.Dot{d}, born: []clock.Dot{d}}
		_, err := l.Merge(Delta{From: d.Actor, Entries: []Entry{{Ref: setRef("x"), Dots: s.Writers(), Encoded: s.Encode(), Record: s}}, Clock: clock.Tips{d}})
		require.NoError(t, err)
	}
	require.NotContains(t, l.index, one.Actor)
	require.Empty(t, l.lacks(clock.Tips{other}, 0), "who has the update that counts lacks nothing")
	require.Equal(t, []Ref{setRef("x")}, l.lacks(nil, 0))
	require.NoError(t, l.Forget(setRef("x")))
	require.Empty(t, l.index)
}
