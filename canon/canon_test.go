package canon

import (
	"bytes"
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The k smallest elements of two sets are a join (rule L2), and changes are reported (rule L6).
func TestSmallestIsAJoin(t *testing.T) {
	const k = 3
	smallest := func(a, b []int) []int { out, _ := Smallest(a, b, cmp.Compare, k); return out }
	list := rapid.Custom(func(t *rapid.T) (out []int) {
		for i := range 8 {
			if len(out) < k && rapid.Bool().Draw(t, "has") {
				out = append(out, i)
			}
		}
		return out
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := list.Draw(t, "a"), list.Draw(t, "b"), list.Draw(t, "c")
		ab, changed := Smallest(a, b, cmp.Compare, k)
		require.True(t, Ascending(ab, cmp.Compare))
		require.LessOrEqual(t, len(ab), k)
		require.Equal(t, smallest(b, a), ab, "commutative")
		require.Equal(t, smallest(ab, c), smallest(a, smallest(b, c)), "associative")
		require.Equal(t, ab, smallest(ab, b), "idempotent")
		require.Equal(t, !equal(a, ab), changed)
	})
}

func equal(a, b []int) bool { return len(a) == len(b) && string(Encode(a)) == string(Encode(b)) }

func TestAscending(t *testing.T) {
	for _, c := range []struct {
		list []int
		want bool
	}{{nil, true}, {[]int{1}, true}, {[]int{1, 2}, true}, {[]int{1, 1}, false}, {[]int{2, 1}, false}} {
		require.Equal(t, c.want, Ascending(c.list, cmp.Compare), "%v", c.list)
	}
}

// Merging fields of a newer broker gives their union, and of two values of one field the one with the greater
// encoding.
func TestUnknownFieldsMerge(t *testing.T) {
	a, b := Unknown{"x": "1", "y": "2"}, Unknown{"y": "3", "z": []any{"1"}}
	want := Unknown{"x": "1", "y": "3", "z": []any{"1"}}
	ab, changed := a.Merge(b)
	require.True(t, changed)
	require.Equal(t, want, ab)
	ba, changed := b.Merge(a)
	require.True(t, changed)
	require.Equal(t, want, ba)
	require.Equal(t, Unknown{"x": "1", "y": "2"}, a, "a merge changes neither argument")
	for _, less := range []Unknown{a, b, nil, {}, ab} {
		same, changed := ab.Merge(less)
		require.False(t, changed)
		require.Equal(t, ab, same)
	}
	fresh, changed := Unknown(nil).Merge(a)
	require.True(t, changed)
	require.Equal(t, a, fresh)
}

// known and older are the same struct in two versions of a program.
type known struct {
	A int            `codec:"a"`
	M string         `codec:"m"`
	Z map[string]any `codec:"z"`
}

type older struct {
	M       string  `codec:"m"`
	Unknown Unknown `codec:"-"`
}

func (o *older) CodecMissingField(field []byte, v any) bool { return o.Unknown.Add(field, v) }
func (o *older) CodecMissingFields() map[string]any         { return o.Unknown }

// An older broker encodes the fields of a newer broker exactly as that broker does:
// digests and keys of jobs depend on it (rules L2, J3).
func TestUnknownFieldsAreSorted(t *testing.T) {
	want := Encode(known{A: 1, M: "m", Z: map[string]any{"b": 2, "a": []any{"x"}}})
	for range 20 { // a map has a random order each time
		var o older
		require.NoError(t, Decode(want, &o))
		require.Equal(t, "m", o.M)
		require.Len(t, o.Unknown, 2)
		require.Equal(t, want, EncodeNewer(&o))
	}
}

// Fields of newer brokers are bounded, and merging them is a join all the same (rules L2, L11).
func TestBoundedFieldsAreAJoin(t *testing.T) {
	draw := func(t *rapid.T) Unknown {
		var u Unknown
		for range rapid.IntRange(0, 2*maxFields).Draw(t, "fields") {
			value := strings.Repeat(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value"), rapid.SampledFrom([]int{1, 2, maxField - 8, maxField + 1}).Draw(t, "size"))
			if u == nil {
				u = Unknown{}
			}
			u[rapid.SampledFrom([]string{"", strings.Repeat("n", maxFieldName-1)}).Draw(t, "long")+rapid.StringMatching("[a-z]").Draw(t, "name")] = value
		}
		return u.Bounded()
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw(t), draw(t), draw(t)
		join := func(x, y Unknown) Unknown { m, _ := x.Merge(y); return m }
		require.Equal(t, Encode(join(a, b)), Encode(join(b, a)), "commutative")
		require.Equal(t, Encode(join(join(a, b), c)), Encode(join(a, join(b, c))), "associative")
		m, changed := a.Merge(b)
		require.Equal(t, changed, !bytes.Equal(Encode(m), Encode(a)))
		require.LessOrEqual(t, len(Encode(m)), MaxUnknown)
		require.Equal(t, Encode(m), Encode(m.Bounded()))
	})
	require.Equal(t, Unknown{"a": "1"}, Unknown{"a": "1", "b": strings.Repeat("x", maxField+1), strings.Repeat("n", maxFieldName+1): "2"}.Bounded())
}
