package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// show prints v as JSON where -o says so, else as table makes of it.
func (c *cli) show(v any, table func(w io.Writer)) error {
	if c.format == formatJSON {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		if b, err = withUnheard(b, c.lastReach().Unheard); err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		_, err = fmt.Fprintf(c.out, "%s\n", b)
		return err
	}
	var buf bytes.Buffer
	w := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	table(w)
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(buf.String()) {
		if _, err := fmt.Fprintln(c.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// row prints one line of a table. What came from outside may not break out of
// its cell.
func row(w io.Writer, cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, oneLine(fmt.Sprint(cell)))
	}
	fmt.Fprintln(w)
}

// oneLine makes a text safe for a terminal and a table: characters that could move the cursor, or turn what follows, become
// spaces.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if label.Misleads(r) {
			return ' '
		}
		return r
	}, s)
}

// dash stands in the place of what is not known.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// humanDuration writes a duration with at most two units: "3d4h", "2m5s", "40ms".
func humanDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + humanDuration(-d)
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// ago writes how long before the broker's present an instant was. Both come from
// the broker, so that this machine's clock matters not.
func ago(t clock.Time, now time.Time) string {
	if t == 0 {
		return "-"
	}
	return humanDuration(max(now.Sub(t.Time()), 0).Truncate(time.Second))
}

// clockTime writes an instant in full.
func clockTime(t clock.Time) string {
	if t == 0 {
		return "-"
	}
	return t.Time().Format("2006-01-02 15:04:05.000 MST")
}

func sortedPairs(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}
