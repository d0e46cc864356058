package main

import (
	"bytes"
	"math"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// record runs the accelerogram example, as the demo does.
func record(t *testing.T, args ...string) Trace {
	t.Helper()
	out, err := exec.Command("go", append([]string{"run", "../accelerogram"}, args...)...).Output()
	require.NoError(t, err)
	trace, err := ReadTrace(bytes.NewReader(out))
	require.NoError(t, err)
	require.Equal(t, 100.0, trace.Rate)
	return trace
}

func TestFindsTheEvent(t *testing.T) {
	found := DefaultDetector().Detect(record(t))
	require.Len(t, found, 1)
	require.InDelta(t, 40, found[0].On, 0.5, "the P wave arrives at 40 s")
	require.Greater(t, found[0].Off, 50.0, "the S wave belongs to it")
	require.InDelta(t, 0.27, found[0].PGA, 0.05)
	require.Greater(t, found[0].Ratio, 100.0)
}

func TestFindsNothingInNoise(t *testing.T) {
	for _, seed := range []string{"1755", "1", "2", "3"} {
		require.Empty(t, DefaultDetector().Detect(record(t, "-quiet", "-seconds", "600", "-seed", seed)), seed)
	}
}

func TestAnOffsetAndAScaleDoNotMatter(t *testing.T) {
	trace := record(t)
	want := DefaultDetector().Detect(trace)
	for i := range trace.Samples {
		trace.Samples[i] = 9.81 + 3*trace.Samples[i]
	}
	got := DefaultDetector().Detect(trace)
	require.Len(t, got, 1)
	require.Equal(t, want[0].On, got[0].On)
	require.InDelta(t, 3*want[0].PGA, got[0].PGA, 1e-6)
}

// Whatever the samples: triggers are in order, within the record, and reach the
// threshold.
func TestTriggersAreSane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trace := Trace{Rate: 10, Samples: rapid.SliceOfN(rapid.Float64Range(-1, 1), 2, 600).Draw(t, "samples")}
		d := Detector{STA: 0.5, LTA: 5, On: 2, Off: 1}
		last := 0.0
		for _, g := range d.Detect(trace) {
			require.GreaterOrEqual(t, g.On, last)
			require.GreaterOrEqual(t, g.Off, g.On)
			require.Less(t, g.Off, float64(len(trace.Samples))/10)
			require.GreaterOrEqual(t, g.Ratio, d.On)
			last = g.Off
		}
	})
}

func TestReadTraceNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "fewer than two",
		"time,a\n0,1\n":                 "fewer than two",
		"t,a\n0,1\n0.01,x\n":            "line 3: \"x\" is not a number",
		"t,a\n0,1\n0.01,NaN\n":          "line 3",
		"0,1\n0.01,1\n0.02,1\n0.05,1\n": "line 4: 0.03",
		"0,1\n0,1\n":                    "does not come after",
		"t,a\n0,1\nnonsense\n":          "line 3: \"nonsense\"",
		"t,a\n0,1\n" + strings.Repeat("1", 70_000): "too long",
	} {
		_, err := ReadTrace(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
	trace, err := ReadTrace(strings.NewReader("time_s,a\n5.00,1\n5.01,2\n\n5.02,3\n"))
	require.NoError(t, err)
	require.Equal(t, Trace{Start: 5, Rate: 100, Samples: []float64{1, 2, 3}}, trace)
}

func TestValidate(t *testing.T) {
	require.NoError(t, DefaultDetector().Validate())
	for _, d := range []Detector{{}, {STA: 2, LTA: 1, On: 2, Off: 1}, {STA: 1, LTA: 2, On: 1, Off: 2}, {STA: math.NaN(), LTA: 1, On: 2, Off: 1}} {
		require.Error(t, d.Validate())
	}
}
