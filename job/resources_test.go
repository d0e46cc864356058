package job

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func resources() *rapid.Generator[Resources] {
	return rapid.Custom(func(t *rapid.T) Resources {
		n := rapid.Int64Range(0, 1000)
		r := Resources{CPU: n.Draw(t, "cpu"), Memory: n.Draw(t, "memory"), IO: n.Draw(t, "io")}
		if rapid.Bool().Draw(t, "has devices") {
			r.Devices = rapid.MapOf(rapid.SampledFrom([]string{"cam", "radio"}), rapid.Int64Range(0, 3)).Draw(t, "devices")
		}
		return r
	})
}

func (r Resources) equals(s Resources) bool { return r.Fits(s) && s.Fits(r) }

// Resources are an ordered group: adding what was subtracted gives the same as before, and subtracting what
// fits leaves nothing below zero.
func TestResourcesArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, s, u := resources().Draw(t, "r"), resources().Draw(t, "s"), resources().Draw(t, "u")
		require.True(t, r.Plus(s).equals(s.Plus(r)))
		require.True(t, r.Plus(s).Plus(u).equals(r.Plus(s.Plus(u))))
		require.True(t, r.Minus(s).Plus(s).equals(r))
		require.True(t, r.Plus(Resources{}).equals(r))
		require.Equal(t, r.Fits(s), r.Minus(s).Fits(Resources{}) && noneNegative(r.Minus(s)))
		require.Equal(t, r.Fits(s), r.Lacks(s) == "")
		if r.Fits(s) && s.Fits(u) {
			require.True(t, r.Fits(u))
		}
	})
}

func noneNegative(r Resources) bool {
	for _, n := range r.Devices {
		if n < 0 {
			return false
		}
	}
	return r.CPU >= 0 && r.Memory >= 0 && r.IO >= 0
}

// Results share no map with the arguments.
func TestResourcesShareNothing(t *testing.T) {
	r := Resources{Devices: map[string]int64{"cam": 1}}
	sum := r.Plus(Resources{})
	sum.Devices["cam"] = 9
	require.Equal(t, int64(1), r.Devices["cam"])
}

// Lacks uses units for people.
func TestLacks(t *testing.T) {
	free := Resources{CPU: 500, Memory: 100 << 20, IO: 10, Devices: map[string]int64{"cam": 1}}
	for _, c := range []struct {
		want Resources
		says string
	}{
		{Resources{CPU: 500, Memory: 100 << 20, IO: 10, Devices: map[string]int64{"cam": 1}}, ""},
		{Resources{CPU: 501}, "needs 0.501 cores, 0.5 free"},
		{Resources{Memory: 100<<20 + 1}, "needs 101 MiB memory, 100 MiB free"},
		{Resources{IO: 11}, "needs io 11, 10 free"},
		{Resources{Devices: map[string]int64{"cam": 2, "radio": 1}}, "needs device cam=2, 1 free"},
		{Resources{Devices: map[string]int64{"radio": 1}}, "needs device radio=1, 0 free"},
	} {
		require.Equal(t, c.says, free.Lacks(c.want))
	}
	require.Equal(t, "needs 0.001 cores, 0 free", Resources{CPU: -5}.Lacks(Resources{CPU: 1}), "a negative amount is shown as 0")
}

func TestMaxTakesTheLargerOfEach(t *testing.T) {
	a := Resources{CPU: 1, Memory: 5, Devices: map[string]int64{"gps": 2}}
	b := Resources{CPU: 3, Memory: 4, IO: 1, Devices: map[string]int64{"gps": 1, "camera": 1}}
	want := Resources{CPU: 3, Memory: 5, IO: 1, Devices: map[string]int64{"gps": 2, "camera": 1}}
	require.Equal(t, want, a.Max(b))
	require.Equal(t, want, b.Max(a))
	require.Nil(t, Resources{}.Max(Resources{}).Devices)
}
