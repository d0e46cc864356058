package causal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// What is taken for a token means the same when it is written again.
func FuzzParse(f *testing.F) {
	f.Add(Context{{Dot: clock.Dot{Actor: "a~1", Counter: 7}, Job: "j1", Firm: 3}}.Token())
	f.Add("gA")
	f.Add("3f____8")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(got), maxEvents)
		again, err := Parse(got.Token())
		require.NoError(t, err)
		require.Equal(t, len(got), len(again))
		for i := range got {
			require.Equal(t, got[i], again[i])
		}
	})
}
