package clock

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// actors are few and counters are small, so that vectors often share entries, and all
// four orders occur.
var actors = []Actor{"a~1", "a~2", "b", "c~x", "d"}

// model is a vector in its simplest form; the laws are tested against it.
type model map[Actor]uint64

func (m model) vector() Vector {
	var v Vector
	for a, n := range m {
		v.Set(Dot{a, n})
	}
	return v
}

func modelOf(v Vector) model {
	m := model{}
	for _, d := range v {
		m[d.Actor] = d.Counter
	}
	return m
}

// below reports whether n knows everything that m knows. Everything
// else follows from this order.
func (m model) below(n model) bool {
	for a, c := range m {
		if n[a] < c {
			return false
		}
	}
	return true
}

func vectors() *rapid.Generator[Vector] {
	return rapid.Custom(func(t *rapid.T) Vector {
		m := rapid.MapOfN(rapid.SampledFrom(actors), rapid.Uint64Range(1, 3), 0, len(actors)).Draw(t, "entries")
		v := model(m).vector()
		// An append that must not happen would write into the spare capacity.
		return slices.Grow(v, rapid.IntRange(0, 3).Draw(t, "spare"))
	})
}

// check tests a law with three vectors that are often equal or merged from each other.
func check(t *testing.T, law func(t *rapid.T, u, v, w Vector)) {
	rapid.Check(t, func(t *rapid.T) {
		u, v, w := vectors().Draw(t, "u"), vectors().Draw(t, "v"), vectors().Draw(t, "w")
		if rapid.Bool().Draw(t, "v after u") {
			v.Merge(u)
		}
		if rapid.Bool().Draw(t, "w after v") {
			w.Merge(v)
		}
		law(t, u, v, w)
		for _, x := range []Vector{u, v, w} {
			require.NoError(t, x.Valid())
		}
	})
}

// TestCompareIsThePartialOrder checks that Compare and Covers agree with the model's order, and that
// it is reflexive, antisymmetric and transitive.
func TestCompareIsThePartialOrder(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		le, ge := modelOf(u).below(modelOf(v)), modelOf(v).below(modelOf(u))
		want := map[[2]bool]Order{{true, true}: Equal, {true, false}: Before, {false, true}: After, {false, false}: Concurrent}[[2]bool{le, ge}]
		require.Equal(t, want, u.Compare(v))
		require.Equal(t, map[Order]Order{Equal: Equal, Before: After, After: Before, Concurrent: Concurrent}[want], v.Compare(u), "antisymmetry")
		require.Equal(t, Equal, u.Compare(u.Clone()), "reflexivity")
		require.Equal(t, want == Equal, slices.Equal(u, v), "equal vectors have the same representation")
		require.Equal(t, want == Equal || want == After, u.Covers(v))
		if u.Compare(v) == Before && v.Compare(w) == Before {
			require.Equal(t, Before, u.Compare(w), "transitivity")
		}
		if v.Covers(u) && w.Covers(v) {
			require.True(t, w.Covers(u), "transitivity")
		}
	})
}

func merged(v Vector, others ...Vector) Vector {
	v = v.Clone()
	for _, w := range others {
		v.Merge(w)
	}
	return v
}

// TestMergeIsTheLeastUpperBound tests the laws of a join, on which the convergence of
// all replicas depends.
func TestMergeIsTheLeastUpperBound(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		uv := merged(u, v)
		require.NoError(t, uv.Valid())
		require.Equal(t, Equal, uv.Compare(merged(v, u)), "commutative")
		require.Equal(t, Equal, merged(uv, w).Compare(merged(u, merged(v, w))), "associative")
		require.Equal(t, Equal, merged(u, u).Compare(u), "idempotent")
		require.True(t, uv.Covers(u) && uv.Covers(v), "an upper bound")
		if w.Covers(u) && w.Covers(v) {
			require.True(t, w.Covers(uv), "the least")
		}
		for _, d := range uv {
			require.Equal(t, max(u.Get(d.Actor), v.Get(d.Actor)), d.Counter, "nothing is invented")
		}
	})
}

// TestMergeReportsChanges also checks that Merge does not change its argument, and shares no memory with it.
func TestMergeReportsChanges(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		before, other := u.Clone(), v.Clone()
		beyond := v[len(v):cap(v)]
		spare := slices.Clone(beyond)
		changed := u.Merge(v)
		require.Equal(t, !before.Covers(v), changed)
		require.Equal(t, before.Compare(u) != Equal, changed)
		require.True(t, slices.Equal(other, v), "Merge changed its argument")
		require.True(t, slices.Equal(spare, beyond), "Merge wrote into its argument's spare capacity")

		// The entries were copied: a later change of one vector does not change the other.
		u.Set(Dot{"a~1", 100})
		require.True(t, slices.Equal(other, v), "Merge shares memory with its argument")
		u.Merge(u)
		require.Equal(t, uint64(100), u.Get("a~1"))
	})
}

// TestMergeOfOwnPart merges a part of the receiver's own memory.
func TestMergeOfOwnPart(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		want := u.Clone()
		require.False(t, u.Merge(u[:len(u)/2]))
		require.False(t, u.Merge(u))
		require.True(t, slices.Equal(want, u))
	})
}

func TestSetGetHasNext(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		a := rapid.SampledFrom(append(slices.Clone(actors), "", "zz", "a")).Draw(t, "actor")
		n := rapid.Uint64Range(0, 5).Draw(t, "counter")
		old := modelOf(u)
		require.Equal(t, old[a], u.Get(a))
		require.Equal(t, Dot{a, old[a] + 1}, u.Next(a))
		require.Equal(t, old[a], u.Get(a), "Next records nothing")
		require.Equal(t, old[a] >= n, u.Has(Dot{a, n}))
		if a == "" {
			return
		}
		require.Equal(t, n > old[a], u.Set(Dot{a, n}))
		old[a] = max(old[a], n)
		if old[a] == 0 {
			delete(old, a)
		}
		require.Equal(t, old, modelOf(u))
		require.True(t, u.Has(Dot{a, n}))
		require.False(t, u.Has(u.Next(a)))
	})
}

func TestNewVectorTakesTheHighest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dots := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Dot {
			return Dot{rapid.SampledFrom(actors).Draw(t, "actor"), rapid.Uint64Range(0, 4).Draw(t, "counter")}
		})).Draw(t, "dots")
		v := NewVector(dots...)
		require.NoError(t, v.Valid())
		for _, a := range actors {
			var want uint64
			for _, d := range dots {
				if d.Actor == a {
					want = max(want, d.Counter)
				}
			}
			require.Equal(t, want, v.Get(a))
		}
	})
}

// TestBeyond checks that v.Beyond(w) yields exactly what w needs to cover v.
func TestBeyond(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		missing := slices.Collect(v.Beyond(w))
		require.NoError(t, Vector(missing).Valid(), "in order")
		for _, d := range missing {
			require.False(t, w.Has(d))
		}
		require.Equal(t, w.Covers(v), len(missing) == 0)
		require.True(t, merged(w, missing).Covers(v))
		for first := range v.Beyond(w) {
			require.Equal(t, missing[0], first, "an early break is allowed")
			break
		}
	})
}

func TestCloneSharesNothing(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		before := u.Clone()
		c := u.Clone()
		c.Merge(v)
		c.Set(Dot{"b", 50})
		require.True(t, slices.Equal(before, u))
	})
}

func TestJSONRoundTrip(t *testing.T) {
	check(t, func(t *rapid.T, u, v, w Vector) {
		b, err := json.Marshal(u)
		require.NoError(t, err)
		again, err := json.Marshal(merged(nil, u))
		require.NoError(t, err)
		require.Equal(t, string(again), string(b), "canonical")
		into := v.Clone()
		require.NoError(t, json.Unmarshal(b, &into), "into a vector that is not empty")
		require.Equal(t, Equal, u.Compare(into))
		require.NoError(t, into.Valid())
	})
	var v Vector
	require.NoError(t, json.Unmarshal([]byte(`{"a":18446744073709551615}`), &v))
	require.Equal(t, uint64(math.MaxUint64), v.Get("a"))
	require.Error(t, json.Unmarshal([]byte(`{"a":-1}`), &v))
	require.Error(t, json.Unmarshal([]byte(`[1]`), &v))
	b, err := json.Marshal(Vector(nil))
	require.NoError(t, err)
	require.Equal(t, "{}", string(b))
}

func TestValidFindsFaults(t *testing.T) {
	require.NoError(t, Vector(nil).Valid())
	for name, v := range map[string]Vector{
		"no actor":     {{"", 1}},
		"no counter":   {{"a", 0}},
		"out of order": {{"b", 1}, {"a", 1}},
		"twice":        {{"a", 1}, {"a", 2}},
		"above all":    {{"a", MaxCounter + 1}},
	} {
		require.Error(t, v.Valid(), name)
	}
	require.NoError(t, Vector{{"a", MaxCounter}}.Valid())
	// Valid accepts exactly what NewVector makes.
	rapid.Check(t, func(t *rapid.T) {
		v := Vector(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Dot {
			return Dot{rapid.SampledFrom([]Actor{"", "a", "b", "c"}).Draw(t, "actor"), rapid.Uint64Range(0, 2).Draw(t, "counter")}
		}), 0, 4).Draw(t, "v"))
		require.Equal(t, len(v) == 0 || slices.Equal(NewVector(v...), v) && v.Get("") == 0, v.Valid() == nil)
	})
}

func TestNames(t *testing.T) {
	require.Equal(t, "a~b", Actor("a~b~01234567").Broker())
	require.Equal(t, "a", Actor("a").Broker())
	require.Equal(t, "a~1:7", Dot{"a~1", 7}.String())
	require.True(t, Dot{}.IsZero())
	require.False(t, Dot{"a", 0}.IsZero())
	require.Equal(t, "{a:3 b:1}", NewVector(Dot{"b", 1}, Dot{"a", 3}).String())
	for o, want := range map[Order]string{Equal: "equal", Before: "before", After: "after", Concurrent: "concurrent", 9: "order(9)"} {
		require.Equal(t, want, o.String())
	}
}

func TestDotCompareIsTotal(t *testing.T) {
	dots := rapid.Custom(func(t *rapid.T) Dot {
		return Dot{rapid.SampledFrom(actors).Draw(t, "actor"), rapid.Uint64Range(0, 2).Draw(t, "counter")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := dots.Draw(t, "a"), dots.Draw(t, "b"), dots.Draw(t, "c")
		require.Equal(t, a == b, a.Compare(b) == 0)
		require.Equal(t, -a.Compare(b), b.Compare(a))
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 {
			require.LessOrEqual(t, a.Compare(c), 0)
		}
	})
}
