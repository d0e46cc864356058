// Package prng is a small seeded generator of random numbers (splitmix64; Steele, Lea and Flood,
// "Fast Splittable Pseudorandom Number Generators", 2014). The core draws no global randomness,
// so that a run can be repeated from its seed, on every machine.
package prng

import "math/bits"

// Source is a generator; its value is its state. One goroutine owns it.
type Source uint64

// Next draws 64 bits.
func (s *Source) Next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Below draws from [0, n); n is at least 1.
func (s *Source) Below(n int) int {
	hi, _ := bits.Mul64(s.Next(), uint64(n))
	return int(hi)
}

// Fraction draws from [0, 1).
func (s *Source) Fraction() float64 { return float64(s.Next()>>11) / (1 << 53) }
