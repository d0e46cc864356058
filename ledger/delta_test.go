package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// fill makes n unfinished records at a new replica.
func fill(t testing.TB, n int) *replica {
	r := newReplica("a")
	for i := range n {
		_, err := touch(r.Ledger, fmt.Sprintf("j%07d", i), false)
		require.NoError(t, err)
	}
	return r
}

// Pages keep to their limit, but for one record that is larger; together they are
// the delta (rules L5, L11).
func TestPagesKeepToTheirLimit(t *testing.T) {
	r := fill(t, 100)
	whole, ok, err := r.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	for _, limit := range []int{1, 50, 100, 1000, 1 << 20} {
		var got []Entry
		tr := r.Pin(nil)
		for pages := 0; ; pages++ {
			require.Less(t, pages, 101)
			d, last, err := tr.Page(r.Ledger, limit)
			require.NoError(t, err)
			require.NotEmpty(t, d.Entries)
			size := 0
			for _, e := range d.Entries {
				size += len(e.Encoded) + minEntry
			}
			require.True(t, size <= limit || len(d.Entries) == 1, "%d bytes in a page of %d", size, limit)
			require.Equal(t, last, d.Clock != nil, "the clock goes with the last page")
			again, _, err := tr.Page(r.Ledger, limit)
			require.NoError(t, err)
			require.Equal(t, d, again, "until Advance it is the same page")
			got = append(got, d.Entries...)
			tr.Advance()
			if last {
				break
			}
		}
		require.Equal(t, whole.Entries, got)
	}
}

// A delta that does not fit says so, cheaply where the number alone tells.
func TestDeltaSaysWhenItDoesNotFit(t *testing.T) {
	r := fill(t, 100)
	for _, limit := range []int{1, 100, 2000} {
		_, ok, err := r.Delta(nil, limit)
		require.NoError(t, err)
		require.False(t, ok, "limit %d", limit)
	}
	d, ok, err := r.Delta(r.Clock(), 1)
	require.NoError(t, err)
	require.True(t, ok, "nothing always fits")
	require.Empty(t, d.Entries)
	require.Equal(t, r.Clock(), d.Clock)
}

// The order of a delta depends on the ledger alone, not on the order of a Go map:
// the simulation repeats bit for bit.
func TestDeltaOrderIsFixed(t *testing.T) {
	build := func() []Ref {
		r := newReplica("a")
		for i := range 20 {
			in, err := decodeSet(fmt.Appendf(nil, "j%d w%d:1* w%d:2", i, i%7, (i+3)%7))
			require.NoError(t, err)
			in.dots[0].Counter, in.dots[1].Counter = uint64(i+1), uint64(i+100)
			in.born[0].Counter = uint64(i + 1)
			_, err = r.Merge(Delta{Entries: []Entry{{Ref: setRef(in.key), Record: in}}})
			require.NoError(t, err)
		}
		return r.lacks(nil, 0)
	}
	want := build()
	require.Len(t, want, 20)
	for range 10 {
		require.Equal(t, want, build())
	}
}

// A delta costs what changed and not what is held (rule L3): the same work out of
// a hundred times as many records. The figure is in BenchmarkDelta100of1000000.
func TestDeltaCostsWhatChanged(t *testing.T) {
	cost := func(n int) float64 {
		r, since := changed(t, n)
		return testing.AllocsPerRun(20, func() {
			d, ok, err := r.Delta(since, 1<<20)
			if len(d.Entries) != 100 || !ok || err != nil {
				t.Fatal(len(d.Entries), ok, err)
			}
		})
	}
	few, many := cost(1000), cost(100_000)
	require.InDelta(t, few, many, 5, "allocations")
}

// changed makes a replica of n records, of which 100 have changed since.
func changed(t testing.TB, n int) (*replica, clock.Tips) {
	r := fill(t, n)
	since := r.Clock()
	for i := range 100 {
		_, err := touch(r.Ledger, fmt.Sprintf("j%07d", i*(n/100)), false)
		require.NoError(t, err)
	}
	return r, since
}

// The largest transfer's list is taken once, at its start; nobody changes what was
// handed out.
func TestPinSharesNothing(t *testing.T) {
	r := fill(t, 3)
	since := clock.NewTips(clock.Dot{Actor: "a~1", Counter: 1})
	tr := r.Pin(since)
	since[0].Counter = 9
	_, err := touch(r.Ledger, "later", false)
	require.NoError(t, err)
	d, last, err := tr.Page(r.Ledger, 1<<20)
	require.NoError(t, err)
	require.True(t, last)
	require.Equal(t, "{a~1:1}", d.Since.String())
	require.Equal(t, "{a~1:3}", d.Clock.String())
	require.Len(t, d.Entries, 2)
	r.Clock()[0].Counter = 9
	require.False(t, r.Has(clock.Dot{Actor: "a~1", Counter: 9}))
}
