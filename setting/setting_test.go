package setting

import (
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
	_, err = Decode(make([]byte, maxSize+1))
	require.ErrorContains(t, err, "at most")
	_, err = Decode([]byte{0xc1})
	require.Error(t, err)
}
