package broker

import "math/bits"

// random is a small seeded generator (splitmix64, Steele et al. 2014): the core
// draws no global randomness, so that a run can be repeated from its seed.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below draws from [0, n); n is at least 1.
func (r *random) below(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// fraction draws from [0, 1).
func (r *random) fraction() float64 { return float64(r.next()>>11) / (1 << 53) }
