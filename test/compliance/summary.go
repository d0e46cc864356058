package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// summary is the report, as -o json shows it.
type summary struct {
	Rows    []outcome `json:"rows"`
	Passed  int       `json:"passed"`
	Failed  int       `json:"failed"`
	Skipped int       `json:"skipped"`
	Seconds float64   `json:"seconds"`
}

// summary sums up, in the order of the requirements.
func (l *lab) summary(chosen []group) *summary {
	s := &summary{Rows: slices.Clone(l.outcomes), Seconds: float64(time.Since(l.begin).Milliseconds()) / 1000}
	place := map[string]int{}
	for _, g := range chosen {
		for _, r := range g.rows {
			place[r.name] = len(place)
		}
	}
	slices.SortStableFunc(s.Rows, func(a, b outcome) int {
		if a.number != b.number {
			return a.number - b.number
		}
		return place[a.Row] - place[b.Row]
	})
	for _, x := range s.Rows {
		switch x.Verdict {
		case pass:
			s.Passed++
		case fail:
			s.Failed++
		case skip:
			s.Skipped++
		}
	}
	return s
}

func (s *summary) json(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(s)
}

// The widths of the table: 110 columns in all.
const (
	nameWidth   = 18
	figureWidth = 50
	limitWidth  = 24
	tableWidth  = 110
)

// table prints the report for people: under each requirement its rows, and how each
// was checked.
func (s *summary) table(out io.Writer) {
	fmt.Fprintf(out, "\nUCP Part B, %s UTC\n", time.Now().UTC().Format("2006-01-02 15:04"))
	last := -1
	var skipped []string
	for _, x := range s.Rows {
		if x.number != last {
			fmt.Fprintln(out)
			printWrapped(out, fmt.Sprintf("%2d  ", x.number+1), x.Requirement)
			last = x.number
		}
		s.row(out, x)
		if x.Verdict == skip {
			skipped = append(skipped, x.Row)
		}
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped, in %.0f s", s.Passed, s.Failed, s.Skipped, s.Seconds)
	if len(skipped) > 0 {
		fmt.Fprintf(out, "; NOT CHECKED: %s", strings.Join(skipped, ", "))
	}
	fmt.Fprintln(out)
}

func (s *summary) row(out io.Writer, x outcome) {
	figure, limit := wrapped(x.Figure, figureWidth), wrapped(x.Limit, limitWidth)
	for i := range max(len(figure), len(limit), 1) {
		verdict, name, seconds := "", "", ""
		if i == 0 {
			verdict, name, seconds = string(x.Verdict), x.Row, fmt.Sprintf("%.1f s", x.Seconds)
		}
		line := fmt.Sprintf("  %-4s  %-*s %-*s %-*s %7s", verdict, nameWidth, name, figureWidth, line(figure, i), limitWidth, line(limit, i), seconds)
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	printWrapped(out, "        ", x.How)
	if x.Why != "" {
		printWrapped(out, "     !  ", x.Why)
	}
}

func line(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// printWrapped prints a text behind a head, indented by as much.
func printWrapped(out io.Writer, head, text string) {
	for _, l := range wrapped(text, tableWidth-len(head)) {
		fmt.Fprintln(out, head+l)
		head = strings.Repeat(" ", len(head))
	}
}

// wrapped breaks a text into lines.
func wrapped(text string, width int) (lines []string) {
	now := ""
	for _, word := range strings.Fields(text) {
		if now != "" && len(now)+1+len(word) > width {
			lines = append(lines, now)
			now = ""
		}
		if now != "" {
			now += " "
		}
		now += word
	}
	if now != "" {
		lines = append(lines, now)
	}
	return lines
}

// printList lists the rows with what they check.
func printList(out io.Writer, all []group) {
	for n, text := range requirements {
		first := true
		for _, g := range all {
			for _, r := range g.rows {
				if r.requirement != n {
					continue
				}
				if first {
					fmt.Fprintf(out, "%2d  %s\n", n+1, text)
					first = false
				}
				printWrapped(out, fmt.Sprintf("      %-*s ", nameWidth, r.name), r.how)
			}
		}
	}
}
