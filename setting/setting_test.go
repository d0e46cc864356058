package setting

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/register"
)

func drawSetting(t *rapid.T) *Setting {
	dot := func() clock.Dot {
		return clock.Dot{Actor: rapid.SampledFrom([]clock.Actor{"a~1", "b~1", "c~1"}).Draw(t, "actor"), Counter: rapid.Uint64Range(1, 4).Draw(t, "counter")}
	}
	by := rapid.SampledFrom([]clock.Actor{"a~1", "b~1"}).Draw(t, "by")
	s := &Setting{Name: "strategy", Seq: rapid.Uint64Range(1, 3).Draw(t, "seq"), At: clock.Hybrid(rapid.Uint64Range(1, 3).Draw(t, "at")), By: by}
	s.Value = string(rune('0'+s.Seq)) + string(rune('0'+s.At)) + string(by) // one version, one value (rule I1)
	if ids := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"flood-1", "quake-2", "fire-3"}), 0, 2, rapid.ID).Draw(t, "seen"); len(ids) > 0 {
		s = s.See(ids)
	}
	if rapid.Bool().Draw(t, "statement") {
		s.Said = rapid.SampledFrom([]string{"x", "\xff\x00", "yy"}).Draw(t, "said")
	}
	for range rapid.IntRange(1, 3).Draw(t, "creations") {
		m, _ := Merge(s, &Setting{Register: register.New(dot())})
		s = m
	}
	for range 3 {
		d := dot()
		if d.Counter > s.Dots.Get(d.Actor) {
			s.Dots.Set(d)
		}
	}
	if rapid.Bool().Draw(t, "newer") {
		s.Unknown = canon.Unknown{rapid.SampledFrom([]string{"zone", "age"}).Draw(t, "name"): rapid.SampledFrom([]string{"x", "y"}).Draw(t, "field")}
	}
	return s
}

// Settings are a join-semilattice, byte for byte (rule L2), and survive a disk.
func TestSettingLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSetting(t), drawSetting(t), drawSetting(t)
		join := func(x, y *Setting) *Setting { m, _ := Merge(x, y); return m }
		require.Equal(t, join(a, b).Encode(), join(b, a).Encode(), "commutative")
		require.Equal(t, join(join(a, b), c).Encode(), join(a, join(b, c)).Encode(), "associative")
		same, changed := Merge(a, a)
		require.False(t, changed)
		require.Same(t, a, same)
		m, changed := Merge(a, b)
		require.Equal(t, changed, string(m.Encode()) != string(a.Encode()), "changed says what is news (rule L6)")

		back, err := Decode(a.Encode())
		require.NoError(t, err)
		require.Equal(t, a.Encode(), back.Encode())
	})
}

// earlier is a setting as the version before this field reads it.
type earlier struct {
	Name  string       `codec:"name"`
	Value string       `codec:"value"`
	Seq   uint64       `codec:"seq"`
	At    clock.Hybrid `codec:"at"`
	By    clock.Actor  `codec:"by"`
	register.Register
}

// A broker of the version before keeps what was seen as a field that it does not know, and merges it to the same bytes
// (rules K5, L2): otherwise brokers of two versions would differ for good.
func TestEarlierVersionsMergeWhatWasSeenAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSetting(t), drawSetting(t)
		old := func(s *Setting) *earlier {
			e := new(earlier)
			require.NoError(t, canon.Decode(s.Encode(), e))
			return e
		}
		x, y := old(a), old(b)
		require.Equal(t, a.Encode(), x.Encode(x), "kept")
		m := *x
		m.Register, _ = x.Merge(y.Register)
		if cmp.Or(cmp.Compare(y.Seq, x.Seq), cmp.Compare(y.At, x.At), cmp.Compare(y.By, x.By)) > 0 {
			m.Value, m.Seq, m.At, m.By = y.Value, y.Seq, y.At, y.By
		}
		joined, _ := Merge(a, b)
		require.Equal(t, joined.Encode(), m.Encode(&m))
	})
}

// What the latest version has seen is what counts, however many versions there were and whatever clock its writer had; and
// of a later one that has seen nothing what an earlier one has seen does not.
func TestWhatTheLatestVersionHasSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var last *Setting
		for n := range rapid.IntRange(1, 300).Draw(t, "versions") {
			s := &Setting{Name: "strategy", Value: "fcfs", Seq: uint64(n) + 1, By: rapid.SampledFrom([]clock.Actor{"a~1", "bcd~1"}).Draw(t, "by"),
				At: clock.Hybrid(rapid.Uint64().Draw(t, "at")), Register: register.New(clock.Dot{Actor: "a~1", Counter: uint64(n) + 1})}
			seen := rapid.SampledFrom([]string{"", "flood-1", "quake-2"}).Draw(t, "seen")
			if seen != "" {
				s = s.See([]string{seen})
			}
			if last == nil {
				last = s
			}
			last, _ = Merge(last, s)
			for _, id := range []string{"flood-1", "quake-2"} {
				require.Equal(t, id == seen, last.HasSeen(id))
			}
		}
	})
}

// A version holds all that the one before it does: a copy of that one is no news to who has it (rule L2).
func TestAVersionHoldsTheOneBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawSetting(t)
		s := New(before.Name, before, "fcfs", before.At, clock.Dot{Actor: "d~1", Counter: 1})
		if rapid.Bool().Draw(t, "sees") {
			s = s.See([]string{"quake-2"})
		}
		_, changed := Merge(s, before)
		require.False(t, changed)
		m, _ := Merge(before, s)
		require.Equal(t, s.Encode(), m.Encode())
	})
}

// What does not validate is refused (rule L10).
func TestBadSettings(t *testing.T) {
	good := &Setting{Name: "strategy", Value: "fcfs", Seq: 1, At: 1, By: "a~1", Register: register.New(clock.Dot{Actor: "a~1", Counter: 1})}
	_, err := Decode(good.Encode())
	require.NoError(t, err)
	for what, spoil := range map[string]func(*Setting){
		"name":      func(s *Setting) { s.Name = "no name" },
		"value":     func(s *Setting) { s.Value = string(make([]byte, maxValue+1)) },
		"version":   func(s *Setting) { s.Seq = 0 },
		"so many":   func(s *Setting) { s.Seq = clock.MaxCounter + 1 },
		"writer":    func(s *Setting) { s.By = "" },
		"seen":      func(s *Setting) { s.Seen = &Seen{Seq: 1, At: 1, By: "a~1", IDs: []string{"b", "a"}} },
		"seen much": func(s *Setting) { s.Seen = &Seen{IDs: strings.Split("abcdefghijklmnopq", "")} },
		"creations": func(s *Setting) { s.Created = nil },
		"order": func(s *Setting) {
			s.Created = []clock.Dot{{Actor: "b~1", Counter: 1}, {Actor: "a~1", Counter: 1}}
		},
	} {
		bad := *good
		spoil(&bad)
		_, err := Decode(bad.Encode())
		require.Error(t, err, what)
	}
	_, err = Decode(make([]byte, MaxSize+1))
	require.ErrorContains(t, err, "at most")
	_, err = Decode([]byte{0xc1})
	require.Error(t, err)
}
