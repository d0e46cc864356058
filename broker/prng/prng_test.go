package prng

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The random numbers are the same on every machine, and lie where they should.
func TestRandomIsRepeatable(t *testing.T) {
	r := Source(42)
	require.Equal(t, []uint64{13679457532755275413, 2949826092126892291, 5139283748462763858}, []uint64{r.Next(), r.Next(), r.Next()}, "splitmix64")
	seen := map[int]bool{}
	for range 1000 {
		n, f := r.Below(7), r.Fraction()
		seen[n] = true
		require.True(t, 0 <= n && n < 7 && 0 <= f && f < 1)
	}
	require.Len(t, seen, 7)
}
