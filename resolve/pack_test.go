package resolve

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// exactValue tries every set.
func (k *knapsack) exactValue() (best int64) {
	for set := range 1 << len(k.value) {
		p := k.empty()
		fits := true
		for i := range k.value {
			if set>>i&1 == 1 {
				if fits = k.fits(&p, i); !fits {
					break
				}
				k.move(&p, i, +1)
			}
		}
		if fits {
			best = max(best, p.value)
		}
	}
	return best
}

// The packing of up to 12 jobs is on average at most 3 % below the exact optimum.
func TestPackingIsNearTheOptimum(t *testing.T) {
	r := rand.New(rand.NewPCG(2026, 11))
	var gaps float64
	var worst float64
	const n = 400
	for range n {
		free := job.Resources{CPU: 4000, Memory: 8 << 30, IO: 100, Devices: map[string]int64{"camera": 2, "radio": 1}}
		k := newKnapsack(free)
		for range 2 + r.IntN(11) {
			want := job.Resources{CPU: int64(1+r.IntN(25)) * 100, Memory: int64(1+r.IntN(40)) << 27, IO: int64(r.IntN(6) * 10)}
			switch r.IntN(5) {
			case 0:
				want.Devices = map[string]int64{"camera": int64(1 + r.IntN(2))}
			case 1:
				want.Devices = map[string]int64{"radio": 1}
			}
			k.add(int64(1+r.IntN(2000)), want)
		}
		best := k.exactValue()
		var got int64
		p := k.empty()
		for i, in := range k.solve() {
			if in {
				require.True(t, k.fits(&p, i), "it does not fit")
				k.move(&p, i, +1)
				got += k.value[i]
			}
		}
		gap := 1 - float64(got)/float64(best)
		gaps, worst = gaps+gap, max(worst, gap)
	}
	t.Logf("mean gap %.2f %%, worst %.1f %%, %d instances of 2 to 12 jobs", 100*gaps/n, 100*worst, n)
	require.LessOrEqual(t, gaps/n, 0.03)
}

// Numbers from a peer must not overflow.
func TestShareOfHugeNumbers(t *testing.T) {
	for _, part := range []int64{0, 1, 1 << 40, 1<<62 + 1} {
		for _, whole := range []int64{-1, 0, 1, 1 << 40, 1 << 62} {
			require.GreaterOrEqual(t, share(part, whole), int64(0))
		}
	}
}
