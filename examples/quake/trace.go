package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Trace is an accelerogram: evenly spaced samples, in m/s².
type Trace struct {
	Start   float64 // s, time of the first sample
	Rate    float64 // Hz
	Samples []float64
}

// ReadTrace reads lines of "seconds,acceleration"; the first line may be a
// heading. Times must be evenly spaced: a gap would look like a quiet spell.
// Every error names its line.
func ReadTrace(r io.Reader) (Trace, error) {
	var t Trace
	var last float64
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		at, a, err := parse(line)
		if err != nil {
			if n == 1 {
				continue // the heading
			}
			return t, fmt.Errorf("line %d: %w", n, err)
		}
		switch step := at - last; len(t.Samples) {
		case 0:
			t.Start = at
		case 1:
			if step <= 0 {
				return t, fmt.Errorf("line %d: time %g does not come after %g", n, at, last)
			}
			t.Rate = math.Round(1e6/step) / 1e6
		default:
			if math.Abs(step*t.Rate-1) > 0.01 {
				return t, fmt.Errorf("line %d: %g s after the line before, not %g s; fill gaps first", n, step, 1/t.Rate)
			}
		}
		last = at
		t.Samples = append(t.Samples, a)
	}
	if err := lines.Err(); err != nil {
		return t, err
	}
	if len(t.Samples) < 2 {
		return t, errors.New("fewer than two samples; expected lines of \"seconds,acceleration\"")
	}
	return t, nil
}

func parse(line string) (at, a float64, err error) {
	left, right, ok := strings.Cut(line, ",")
	if !ok {
		return 0, 0, fmt.Errorf("%q is not \"seconds,acceleration\"", line)
	}
	if at, err = number(left); err != nil {
		return 0, 0, err
	}
	a, err = number(right)
	return at, a, err
}

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return v, nil
}
