package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// Where a machine was resumed from a snapshot, or somebody has lied, two records may have the same update (rule K3). Both
// are told, and to forget both is no fault.
func TestTwoRecordsWithOneUpdate(t *testing.T) {
	l := New("a~1", nil, setSchema)
	d := clock.Dot{Actor: "b~1", Counter: 7}
	for _, key := range []string{"j1", "j2"} {
		r := &set{key: key, dots: []clock.Dot{d}, born: []clock.Dot{d}}
		_, err := l.Merge(Delta{From: "b~1", Entries: []Entry{{Ref: setRef(key), Dots: r.Writers(), Encoded: r.Encode(), Record: r}}})
		require.NoError(t, err)
	}
	got, ok, err := l.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, got.Entries, 2)
	for _, key := range []string{"j1", "j2"} {
		require.NoError(t, l.Forget(setRef(key)))
	}
	require.Zero(t, l.Strays())
}

// Whoever goes through the strays by their updates misses none of two records with the same one.
func TestStraysBehindAnUpdateOfTwo(t *testing.T) {
	l := New("a~1", nil, setSchema)
	for key, counter := range map[string]uint64{"j1": 7, "j2": 7, "j3": 8} {
		d := clock.Dot{Actor: "b~1", Counter: counter}
		r := &set{key: key, dots: []clock.Dot{d}, born: []clock.Dot{d}}
		_, err := l.Merge(Delta{From: "b~1", Entries: []Entry{{Ref: setRef(key), Dots: r.Writers(), Encoded: r.Encode(), Record: r}}})
		require.NoError(t, err)
	}
	refs, last := l.StraysBehind(clock.Dot{}, 1)
	require.Equal(t, []Ref{setRef("j1"), setRef("j2")}, refs)
	refs, last = l.StraysBehind(last, 1)
	require.Equal(t, []Ref{setRef("j3")}, refs)
	require.True(t, last.IsZero())
}
