package clock

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawTips draws a clock of a few starts of a few brokers.
func drawTips(t *rapid.T, label string) Tips {
	var v Vector
	for _, a := range rapid.SliceOfN(rapid.SampledFrom([]Actor{"a~1", "a~2", "a1~1", "b", "b~1", "b~2", "b~3", "c~1"}), 0, 6).Draw(t, label) {
		v.Set(Dot{a, rapid.Uint64Range(1, 3).Draw(t, "n")})
	}
	return Tips(v)
}

// Who replaces what has changed has the other clock, entries that have gone included; nobody else's entry is touched. The
// digest tells clocks apart.
func TestReplace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		was, is := drawTips(t, "was"), drawTips(t, "is")
		names := map[string]bool{}
		for name := range is.Changed(was) {
			names[name] = true
		}
		var news, gone Tips
		for _, d := range is {
			if names[d.Actor.Broker()] {
				news = append(news, d)
			}
		}
		for _, d := range was { // a broker of which nothing is left can't be told so
			if !slices.ContainsFunc(is, func(e Dot) bool { return e.Actor.Broker() == d.Actor.Broker() }) {
				gone = append(gone, d)
			}
		}
		got := was.Replace(news)
		require.NoError(t, got.Valid())
		got = slices.DeleteFunc(got, func(d Dot) bool { return slices.Contains(gone, d) })
		require.True(t, got.Equal(is), "%v, where %v becomes %v by %v", got, was, is, news)
		require.Equal(t, was.Equal(is), was.Digest() == is.Digest())
		require.Equal(t, was.Equal(is), len(names) == 0)
	})
}
