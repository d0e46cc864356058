package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
)

const (
	rate      = 100.0 // samples per second
	noise     = 0.002 // m/s², standard deviation
	sMinusP   = 8.0   // km/s: distance = sMinusP * (S arrival - P arrival), the rule of thumb of the crust
	pFraction = 0.2   // the P wave's amplitude, of the S wave's
)

// Record describes a synthetic accelerogram.
type Record struct {
	Seed     uint64
	Seconds  float64
	Onset    float64 // s, arrival of the P wave
	Distance float64 // km
	Peak     float64 // m/s², of the S wave; 0 for noise only
}

// Default is the record of the demo: magnitude 5 or so, 50 km away.
func Default() Record { return Record{Seed: 1755, Seconds: 120, Onset: 40, Distance: 50, Peak: 0.3} }

// wave is one arrival: an envelope that rises within a second and dies away, on
// an oscillation.
type wave struct {
	at, peak  float64
	frequency float64 // Hz
	decay     float64 // s
}

func (w wave) value(t float64) float64 {
	dt := t - w.at
	if dt <= 0 {
		return 0
	}
	envelope := (1 - math.Exp(-dt/0.2)) * math.Exp(-dt/w.decay)
	return w.peak * envelope * math.Sin(2*math.Pi*w.frequency*dt)
}

// Samples computes the record, in m/s².
func (r Record) Samples() []float64 {
	// Both halves of PCG's state from the one seed.
	rnd := rand.New(rand.NewPCG(r.Seed, r.Seed))
	p := wave{at: r.Onset, peak: r.Peak * pFraction, frequency: 6, decay: 4}
	s := wave{at: r.Onset + r.Distance/sMinusP, peak: r.Peak, frequency: 2.5, decay: 8}
	out := make([]float64, int(r.Seconds*rate))
	for i := range out {
		t := float64(i) / rate
		out[i] = noise*gauss(rnd) + p.value(t) + s.value(t)
	}
	return out
}

// gauss is nearly normal: the sum of twelve uniform numbers. Unlike
// rand.NormFloat64 it uses no tables and no logarithm, so that no processor's
// arithmetic can make a difference.
func gauss(rnd *rand.Rand) float64 {
	sum := -6.0
	for range 12 {
		sum += rnd.Float64()
	}
	return sum
}

// Write writes the record as CSV.
func (r Record) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "time_s,acceleration_m_s2")
	for i, a := range r.Samples() {
		fmt.Fprintf(b, "%.2f,%.6f\n", float64(i)/rate, a)
	}
	return b.Flush()
}
