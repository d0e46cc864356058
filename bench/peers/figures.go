package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// figures are what one round, or the medians of all, have shown: rates in a second, times in milliseconds, by name.
type figures map[string]float64

func (f figures) String() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		out = append(out, fmt.Sprintf("%s %.4g", name, f[name]))
	}
	return strings.Join(out, ", ")
}

// ratio is a figure divided by another one of the same round.
type ratio struct {
	name    string
	of, by  string  // by "" is 1
	goal    float64 // "at least", or "at most" if less is better
	smaller bool
}

// ratios are what is asked for; docs/performance.md says what each means.
var ratios = []ratio{
	{name: "submit / bare", of: "ucp/s", by: "bare/s", goal: 1.0},
	{name: "submit / NATS R=3 synced", of: "ucp/s", by: "nats/s", goal: 1.2},
	{name: "submit / etcd", of: "ucp/s", by: "etcd/s", goal: 2.5},
	{name: "batches of 32 / NATS async", of: "ucp-batch/s", by: "nats-batch/s", goal: 2},
	{name: "batches of 32 / etcd", of: "ucp-batch/s", by: "etcd/s", goal: 4},
	{name: "batches of 32 / singles", of: "ucp-batch/s", by: "ucp/s", goal: 2.5},
	{name: "p99 at half load / bare", of: "ucp-half-p99", by: "bare-half-p99", goal: 1.5, smaller: true},
	{name: "p99 at half load, ms", of: "ucp-half-p99", goal: 50, smaller: true},
	{name: "trivial jobs / the older build", of: "trivial/s", by: "trivial-before/s", goal: 1.6},
	{name: "warm module p50 / bare wazero", of: "warm-p50", by: "wazero-p50", goal: 1.8, smaller: true},
}

// summary is what a run has shown: medians of rounds.
type summary struct {
	Rounds  int                `json:"rounds"`
	Figures figures            `json:"figures"`
	Ratios  map[string]float64 `json:"ratios"` // medians of the ratios of each round
}

func summarise(rounds []figures) summary {
	s := summary{Rounds: len(rounds), Figures: figures{}, Ratios: map[string]float64{}}
	for name := range rounds[0] {
		s.Figures[name] = median(rounds, func(f figures) (float64, bool) { x, ok := f[name]; return x, ok })
	}
	for _, r := range ratios {
		x := median(rounds, func(f figures) (float64, bool) {
			of, ok := f[r.of]
			by, also := f[r.by]
			if r.by == "" {
				by, also = 1, true
			}
			return of / by, ok && also && by > 0
		})
		if x > 0 {
			s.Ratios[r.name] = x
		}
	}
	return s
}

// median is that of the rounds that have a value; 0 if none has.
func median(rounds []figures, of func(figures) (float64, bool)) float64 {
	var values []float64
	for _, f := range rounds {
		if x, ok := of(f); ok {
			values = append(values, x)
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (s summary) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "FIGURE (median of %d rounds)\t\n", s.Rounds)
	for _, name := range slices.Sorted(maps.Keys(s.Figures)) {
		fmt.Fprintf(w, "%s\t%.4g\n", name, s.Figures[name])
	}
	fmt.Fprintf(w, "\nRATIO\tMEASURED\tGOAL\t\n")
	for _, r := range ratios {
		x, ok := s.Ratios[r.name]
		sign, reached := "at least", x >= r.goal
		if r.smaller {
			sign, reached = "at most", x <= r.goal
		}
		switch {
		case !ok:
			fmt.Fprintf(w, "%s\tnot measured\t%s %g\t\n", r.name, sign, r.goal)
		case reached:
			fmt.Fprintf(w, "%s\t%.2f\t%s %g\treached\n", r.name, x, sign, r.goal)
		default:
			fmt.Fprintf(w, "%s\t%.2f\t%s %g\tNOT reached\n", r.name, x, sign, r.goal)
		}
	}
	w.Flush()
}

// record writes what was measured for later checks.
func (s summary) record(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// check says which ratios are worse than recorded, by more than the tolerance.
func (s summary) check(path string, tolerance float64, out io.Writer) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var was summary
	if err := json.Unmarshal(b, &was); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var worse, compared int
	for _, r := range ratios {
		now, measured := s.Ratios[r.name]
		then, recorded := was.Ratios[r.name]
		if !measured || !recorded {
			continue
		}
		compared++
		change := now/then - 1
		if r.smaller {
			change = then/now - 1
		}
		if change < -tolerance {
			worse++
			fmt.Fprintf(out, "SLOWER: %s was %.2f when it was recorded, and is %.2f\n", r.name, then, now)
		}
	}
	if compared == 0 {
		return errors.New(path + " has none of the ratios that were measured")
	}
	if worse > 0 {
		return fmt.Errorf("%d of %d ratios are worse than those in %s by more than %.0f %%", worse, compared, path, 100*tolerance)
	}
	fmt.Fprintf(out, "none of %d ratios is worse than recorded in %s by more than %.0f %%\n", compared, path, 100*tolerance)
	return nil
}
