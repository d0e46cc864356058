package job

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestArraysAreNamedInOneWay(t *testing.T) {
	for _, c := range []struct {
		text ID
		want []ID // the first jobs, as the spec has them
		err  string
	}{
		{"tiles[0-999]", []ID{"tiles[0-999]"}, ""},
		{"tiles[0-3,4,5-6,9]", []ID{"tiles[0-6,9]"}, ""},
		{"tiles[7]", []ID{"tiles.7"}, ""},
		{"night.tiles[1,3].r2", []ID{"night.tiles[1,3].r2"}, ""},
		{"tiles[07-9]", []ID{"tiles[7-9]"}, ""},
		{"tiles[0-99999]", []ID{"tiles[0-99999]"}, ""},
		{"tiles[0-100000]", nil, "after[0]"},
		{"tiles[3-1]", nil, "after[0]"},
		{"tiles[1,1]", nil, "after[0]"},
		{"tiles[]", nil, "after[0]"},
		{"tiles[0-9", nil, "after[0]"},
		{"tiles[0-9]r2", nil, "after[0]"},
		{"tiles[0-9].", []ID{"tiles[0-9]."}, ""}, // a valid ID may end with a dot
		{"[0-9]", nil, "after[0]"},
		{"til es[0-9]", nil, "after[0]"},
		{ID(strings.Repeat("t", 63) + "[0-9]"), nil, "after[0]"},
		{ID("t[" + strings.Repeat("1,3,5,", 200) + "1201]"), nil, "after[0]"},
		{ID("t[" + odd(400) + "]"), nil, "after[0]"}, // longer than an entry may be
	} {
		s := Spec{Command: "x", After: []ID{c.text}}
		err := s.Complete()
		if c.err != "" {
			require.ErrorContains(t, err, c.err, "%s", c.text)
			continue
		}
		require.NoError(t, err, "%s", c.text)
		require.Equal(t, c.want, s.After)
	}
	s := Spec{Command: "x", After: []ID{"a[0-59999]", "b[0-49999]"}}
	require.ErrorContains(t, s.Complete(), "with it the arrays have 110000 jobs")
	s = Spec{Command: "x", After: []ID{"a.1", "a[1]"}}
	require.ErrorContains(t, s.Complete(), "listed twice")

	given := []ID{"tiles[0-1,2]"}
	s = Spec{Command: "x", After: given}
	require.NoError(t, s.Complete())
	require.Equal(t, []ID{"tiles[0-1,2]"}, given, "what the caller has is not changed")
}

// odd lists the first n odd numbers.
func odd(n int) string {
	var b []string
	for i := range n {
		b = append(b, fmt.Sprint(2*i+1))
	}
	return strings.Join(b, ",")
}

// A record whose spec names an array in another way than the one, as nobody writes it, is not taken in: it would be another job, and two texts
// would stand for one array.
func TestRecordsNameArraysInTheOneWay(t *testing.T) {
	s := Spec{Command: "x", After: []ID{"t[0-3]"}, Priority: Priority{User: DefaultUser}}
	require.NoError(t, s.Complete())
	for _, text := range []ID{"t[0-3]", "t[0-1,2-3]", "t[4]", "t[0-3", "t[3-0]"} {
		s.After = []ID{text}
		require.Equal(t, text == "t[0-3]", s.validate(0) == nil, "%s", text)
	}
}

func drawIDs(t *rapid.T) (ids []ID) {
	indices := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 1, 30, rapid.ID[int]).Draw(t, "indices")
	name := rapid.SampledFrom([]string{"t", "p.tiles", "a-1"}).Draw(t, "name")
	suffix := rapid.SampledFrom([]string{"", ".r2"}).Draw(t, "suffix")
	for _, i := range indices {
		ids = append(ids, ID(fmt.Sprintf("%s.%d%s", name, i, suffix)))
	}
	return ids
}

func TestArraysNameWhatTheyWereMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := append(drawIDs(t), drawIDs(t)...)
		ids = append(ids, "alone", "x.y")
		var back []ID
		for _, entry := range Arrays(ids) {
			a, ok := entry.Array()
			if !ok {
				require.False(t, entry.IsArray())
				back = append(back, entry)
				continue
			}
			require.Greater(t, a.Len(), 1)
			require.Equal(t, entry, a.ID())
			require.NoError(t, (&Spec{Command: "x", After: []ID{entry}, Priority: Priority{User: 5}}).Complete())
			all := slices.Collect(a.IDs())
			require.Len(t, all, a.Len())
			for i, id := range all {
				require.Equal(t, id, a.At(i))
			}
			back = append(back, all...)
			for _, id := range ids { // who looks for the arrays of a job finds it
				found := false
				for base, i := range id.Bases() {
					found = found || base == a.Base() && a.HasIndex(i)
				}
				require.Equal(t, slices.Contains(all, id), found, "%s in %s", id, entry)
			}
		}
		slices.Sort(ids)
		slices.Sort(back)
		require.Equal(t, slices.Compact(ids), back)
	})
	var many []ID
	for i := range 3000 {
		many = append(many, ID(fmt.Sprintf("t.%d", 2*i)))
	}
	var back []ID
	for _, entry := range Arrays(many) {
		a, ok := entry.Array()
		require.True(t, ok, "each is short enough")
		back = slices.AppendSeq(back, a.IDs())
	}
	require.Equal(t, many, back)
}

func TestBases(t *testing.T) {
	var got []string
	for base, i := range ID("p.tiles.7.r2.0.08.x").Bases() {
		got = append(got, fmt.Sprintf("%s %d %s", base.Name, i, base.Suffix))
	}
	require.Equal(t, []string{"p.tiles 7 .r2.0.08.x", "p.tiles.7.r2 0 .08.x"}, got)
	for _, id := range []ID{"tiles", "tiles.", "tiles.x", "tiles.007", "tiles.99999999999"} {
		for base, i := range id.Bases() {
			t.Errorf("%s: %v %d", id, base, i)
		}
	}
}
