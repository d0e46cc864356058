// Command quake finds earthquakes in an accelerogram. It is an example of a job:
// it reads a file, prints for people and writes JSON for machines.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "quake:", err)
		os.Exit(1)
	}
}

func run() error {
	d := DefaultDetector()
	flag.Float64Var(&d.STA, "sta", d.STA, "short window, in seconds")
	flag.Float64Var(&d.LTA, "lta", d.LTA, "long window, in seconds")
	flag.Float64Var(&d.On, "on", d.On, "ratio at which a trigger begins")
	flag.Float64Var(&d.Off, "off", d.Off, "ratio below which it ends")
	report := flag.String("report", "", "write the triggers as JSON to this file")
	flag.Parse()
	if flag.NArg() != 1 {
		return fmt.Errorf("name one accelerogram, a CSV of seconds and m/s²; got %d arguments", flag.NArg())
	}
	if err := d.Validate(); err != nil {
		return err
	}
	f, err := os.Open(flag.Arg(0))
	if err != nil {
		return err
	}
	defer f.Close()
	trace, err := ReadTrace(f)
	if err != nil {
		return fmt.Errorf("reading %s: %w", flag.Arg(0), err)
	}
	found := d.Detect(trace)
	fmt.Printf("%s: %d samples at %g Hz, %d trigger(s)\n", flag.Arg(0), len(trace.Samples), trace.Rate, len(found))
	for _, t := range found {
		fmt.Printf("  on %.2f s  off %.2f s  peak ratio %.1f  peak ground acceleration %.3f m/s²\n", t.On, t.Off, t.Ratio, t.PGA)
	}
	if *report == "" {
		return nil
	}
	b, err := json.MarshalIndent(struct {
		Samples  int       `json:"samples"`
		Rate     float64   `json:"rate_hz"`
		Triggers []Trigger `json:"triggers"`
	}{len(trace.Samples), trace.Rate, found}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*report, append(b, '\n'), 0o644)
}
