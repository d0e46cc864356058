package clock

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// family is a random history of starts of two brokers, some from a disk that was restored from a copy, some of an
// earlier version; each holds a part of what was written before of its own name.
type family struct {
	Lineage
	actors []Actor
	whole  map[Actor]Vector // by start, what a broker with an entry of it holds beside: the model
	wrote  map[Actor]uint64
}

func drawFamily(t *rapid.T) *family {
	f := &family{whole: map[Actor]Vector{}, wrote: map[Actor]uint64{}}
	for _, name := range []string{"a", "a.b"} {
		held := []Vector{nil} // what disks of this name may hold
		for i := range rapid.IntRange(0, 6).Draw(t, "starts") {
			a := StartActor(name, Start(i+1)<<32)
			disk := rapid.SampledFrom(held).Draw(t, "disk")
			if rapid.IntRange(0, 4).Draw(t, "old") == 0 {
				a, disk = Actor(fmt.Sprintf("%s~%08d", name, i)), nil
			}
			if len(disk) > 0 && rapid.Bool().Draw(t, "fork") { // it has met another fork meanwhile
				disk = merged(disk, rapid.SampledFrom(held).Draw(t, "other"))
			}
			if _, ok := a.Start(); ok {
				if err := f.Add(a, f.Tips(disk)); err != nil {
					t.Fatal(err)
				}
			}
			f.actors, f.whole[a] = append(f.actors, a), disk
			f.wrote[a] = rapid.Uint64Range(1, 3).Draw(t, "wrote")
			for n := uint64(1); n <= f.wrote[a]; n++ {
				held = append(held, merged(disk, NewVector(Dot{a, n})))
			}
		}
	}
	return f
}

// model draws what a broker may hold: with an entry of a start all that this one held.
func (f *family) model(t *rapid.T) (v Vector) {
	for _, a := range f.actors {
		if n := rapid.Uint64Range(0, f.wrote[a]).Draw(t, "n"); n > 0 && rapid.Bool().Draw(t, "holds") {
			v = merged(v, f.whole[a], NewVector(Dot{a, n}))
		}
	}
	return v
}

// without is the model of [Lineage.Without]: who lacks an event has none of the entries of those that held it at their start.
func (f *family) without(v Vector, d Dot) (out Vector) {
	for _, e := range v {
		if !f.whole[e.Actor].Has(d) {
			out.Set(e)
		}
	}
	out.Cut(d)
	return out
}

func beyond(v, w Vector) (n uint64) {
	for d := range v.Beyond(w) {
		n += d.Counter - w.Get(d.Actor)
	}
	return n
}

// The laws: tips are another spelling of the whole vectors.
func TestTipsAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFamily(t)
		u, v, w := f.model(t), f.model(t), f.model(t)
		tu, tv, tw := f.Tips(u), f.Tips(v), f.Tips(w)
		require.Equal(t, Equal, f.Expand(tu).Compare(u), "nothing is lost")
		require.NoError(t, tu.Valid())
		require.Equal(t, u.Compare(v) == Equal, tu.Equal(tv), "one spelling of each")
		require.Equal(t, u.Covers(v), f.Covers(tu, tv))
		require.Equal(t, u.Covers(v), f.Covers(Tips(u), tv), "whole or tips: it means the same")
		for _, a := range f.actors {
			require.Equal(t, u.Get(a), f.Get(tu, a))
			fresh := Lineage{rows: f.rows, listed: f.listed, implied: map[Actor]Vector{}}
			require.Equal(t, u.Get(a), fresh.Get(tu, a), "when nothing has been asked for before, too")
			require.Equal(t, u.Get(a) >= 2, f.Has(tu, Dot{a, 2}))
		}

		uv := f.Merge(tu, tv)
		require.True(t, f.Tips(merged(u, v)).Equal(uv))
		require.True(t, uv.Equal(f.Merge(tv, tu)), "commutative")
		require.True(t, f.Merge(uv, tw).Equal(f.Merge(tu, f.Merge(tv, tw))), "associative")
		require.True(t, tu.Equal(f.Merge(tu, tu)), "idempotent")

		both := Vector{}
		for _, d := range u {
			if n := min(d.Counter, v.Get(d.Actor)); n > 0 {
				both = append(both, Dot{d.Actor, n})
			}
		}
		m := f.Meet(tu, tv)
		require.True(t, f.Tips(both).Equal(m))
		require.True(t, f.Covers(tu, m) && f.Covers(tv, m), "a lower bound")
		require.True(t, m.Equal(f.Meet(tv, tu)), "commutative")
		require.True(t, f.Meet(tu, uv).Equal(tu), "absorption")

		require.Equal(t, beyond(u, v), f.Beyond(tu, tv))
		require.Equal(t, u.Covers(v), f.HasAll(tu, v))
		d := Dot{rapid.SampledFrom(append(f.actors, "a~nobody")).Draw(t, "actor"), rapid.Uint64Range(1, 3).Draw(t, "n")}
		require.True(t, f.Tips(f.without(u, d)).Equal(f.Without(tu, d)))
	})
}

// Who does not know a row covers less than it might, never more, and what it covers stays covered when rows come.
func TestWithoutARowLessIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFamily(t)
		u, v := f.model(t), f.model(t)
		tu, tv := f.Tips(u), f.Tips(v)
		var some Lineage
		covered := false
		for _, a := range rapid.Permutation(f.actors).Draw(t, "order") {
			if _, ok := f.rows[a]; !ok {
				continue
			}
			now := some.Covers(tu, tv)
			require.False(t, covered && !now, "monotone")
			require.False(t, now && !u.Covers(v), "never more")
			covered = now
			_, known := some.Row(a)
			require.False(t, known)
			require.NoError(t, some.Add(a, f.rows[a]))
			_, known = some.Row(a)
			require.True(t, known)
		}
		require.Equal(t, u.Covers(v), some.Covers(tu, tv))
	})
}

func TestRowsThatAreNone(t *testing.T) {
	var l Lineage
	first, second := StartActor("a", 1), StartActor("a", 2)
	require.NoError(t, l.Add(second, NewTips(Dot{first, 3}, Dot{"a~0a1b2c3d", 9})))
	require.NoError(t, l.Add(second, NewTips(Dot{first, 3}, Dot{"a~0a1b2c3d", 9})), "again")
	for name, c := range map[string]struct {
		actor   Actor
		parents Tips
	}{
		"another than before":        {second, NewTips(Dot{first, 4})},
		"of an actor of old":         {"a~0a1b2c3d", nil},
		"another broker's parent":    {StartActor("a", 3), NewTips(Dot{StartActor("b", 1), 1})},
		"its own parent":             {first, NewTips(Dot{first, 1})},
		"a parent that comes later":  {first, NewTips(Dot{second, 1})},
		"a vector that is not valid": {first, Tips{{"", 1}}},
	} {
		require.Error(t, l.Add(c.actor, c.parents), name)
	}
}

func TestStarts(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	s := NextStart(now, nil, "", 7)
	require.Equal(t, Start(1_790_000_000/60)<<32|7, s)
	got, ok := StartActor("a~b", s).Start()
	require.True(t, ok)
	require.Equal(t, s, got)
	last := StartActor("a", s)
	require.Equal(t, s+1<<32, NextStart(time.Unix(-5, 0), NewTips(Dot{last, 1}), "a~0a1b2c3d", 7), "also when the clock has gone back")
	require.Greater(t, NextStart(now, nil, last, 0), s, "also when it has written nothing, and chance is against it")
	require.Equal(t, s, NextStart(now, NewTips(Dot{StartActor("a", MaxStart-1), 1}), "", 7), "nobody can take away the room above")
	require.Equal(t, MaxStart-1, NextStart(time.Unix(1<<40, 0), nil, "", 7))
	require.Less(t, StartActor("a", 9), StartActor("a", 10), "they sort as text")
	for _, old := range []Actor{"a", "a~", "a~0a1b2c3d", "a~000000000000000g", "a~0000000000000000f", "a~2000000000000000", "a~000000000000000F"} {
		_, ok := old.Start()
		require.False(t, ok, "%q", old)
	}
}

func TestBefore(t *testing.T) {
	first, second := StartActor("a", 1), StartActor("a", 2)
	require.True(t, first.Before(second))
	require.False(t, second.Before(first))
	require.False(t, first.Before(first))
	require.False(t, first.Before(StartActor("b", 2)), "of another broker")
	require.False(t, Actor("a~0a1b2c3d").Before(second), "of an earlier version")
	require.False(t, first.Before("a~0a1b2c3d"))
}

// A hundred thousand starts later a clock has still an entry a broker, and a broker of the earlier version with 4,090
// actors has one as soon as it has started once.
func TestOneTipAName(t *testing.T) {
	var l Lineage
	var old Vector
	for i := range 4090 {
		old.Set(Dot{Actor(fmt.Sprintf("a~%08d", i)), 2})
	}
	clock := l.Tips(old)
	require.Len(t, clock, 4090)
	start := Start(1) << 32
	for range 1000 {
		start += 1 << 32
		a := StartActor("a", start)
		require.NoError(t, l.Add(a, clock))
		clock = l.Merge(clock, NewTips(Dot{a, 2}))
		require.Len(t, clock, 1)
	}
	require.Len(t, l.Expand(clock), 4090+1000)
	require.True(t, l.Has(clock, Dot{"a~00000007", 2}))
	require.False(t, l.Has(clock, Dot{"a~00000007", 3}))
	require.True(t, slices.IsSortedFunc(l.Implied(clock[0].Actor), Dot.Compare))
}

// A disk that was restored from a copy is a second tip beside the first, until a start that has held both.
func TestAForkIsASecondTip(t *testing.T) {
	first, restored, third := StartActor("a", 1), StartActor("a", 2), StartActor("a", 3)
	var l Lineage
	require.NoError(t, l.Add(first, nil))
	require.NoError(t, l.Add(restored, NewTips(Dot{first, 1}))) // from a copy, when the first had written more
	both := l.Merge(NewTips(Dot{first, 3}), NewTips(Dot{restored, 2}))
	require.Equal(t, NewTips(Dot{first, 3}, Dot{restored, 2}), both)
	require.NoError(t, l.Add(third, both))
	after := l.Merge(both, NewTips(Dot{third, 1}))
	require.Equal(t, NewTips(Dot{third, 1}), after)
	require.Equal(t, NewVector(Dot{first, 3}, Dot{restored, 2}, Dot{third, 1}), l.Expand(after))
	require.Equal(t, uint64(3), l.Get(after, first))
}
