package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The report is sorted as the table of requirements, fits into 110 columns, names what
// was not checked in its last line, and says the same in JSON.
func TestSummary(t *testing.T) {
	answers := map[string]error{"late": nil, "early": errors.New(strings.Repeat("it is far too slow ", 20)), "network": lacking{"no root"}}
	g := group{name: "g"}
	for i, name := range []string{"late", "network", "early"} {
		g.rows = append(g.rows, row{
			name: name, requirement: 9 - i, how: strings.Repeat("by looking at it ", 20), limit: strings.Repeat("5 s ", 10),
			check: func(context.Context, *cluster) (string, error) { return strings.Repeat("7 s ", 30), answers[name] },
		})
	}
	g.rows = append(g.rows, row{name: "broken", requirement: 13, check: func(context.Context, *cluster) (string, error) { panic("oh") }})
	var progress, table, text bytes.Buffer
	l := &lab{o: &options{}, progress: &progress}
	l.check(t.Context(), []group{g})
	for name := range answers {
		require.Contains(t, progress.String(), "  "+name, "each is told at once")
	}

	s := l.summary([]group{g})
	var names []string
	for _, x := range s.Rows {
		names = append(names, x.Row+" "+string(x.Verdict))
	}
	require.Equal(t, []string{"early FAIL", "network SKIP", "late PASS", "broken FAIL"}, names)
	require.Equal(t, []int{1, 2, 1}, []int{s.Passed, s.Failed, s.Skipped})
	require.Contains(t, s.Rows[3].Why, "the check itself is broken: oh")
	s.Rows = s.Rows[:3] // a stack has long lines
	s.table(&table)
	for line := range strings.Lines(table.String()) {
		require.LessOrEqual(t, len(line), tableWidth+1, line)
	}
	require.Regexp(t, `1 passed, 2 failed, 1 skipped, in 0 s; NOT CHECKED: network\n$`, table.String())

	require.NoError(t, s.json(&text))
	var got map[string]any
	require.NoError(t, json.Unmarshal(text.Bytes(), &got))
	require.EqualValues(t, 2, got["failed"])
	first := got["rows"].([]any)[0].(map[string]any)
	for _, field := range []string{"requirement", "row", "how", "figure", "limit", "verdict", "seconds", "why"} {
		require.Contains(t, first, field)
	}
}

// Every requirement has a row, and no two rows have one name.
func TestEveryRequirementHasARow(t *testing.T) {
	rows, names := map[int]int{}, map[string]bool{}
	for _, g := range groups() {
		for _, r := range g.rows {
			rows[r.requirement]++
			require.False(t, names[r.name], r.name)
			names[r.name] = true
			require.LessOrEqual(t, len(r.name), nameWidth)
			require.NotEmpty(t, r.how)
			require.NotEmpty(t, r.limit)
		}
	}
	for i := range requirements {
		require.NotZero(t, rows[i], requirements[i])
	}
	_, err := (&options{format: "table", only: "split,splat"}).check()
	require.ErrorContains(t, err, "splat")
	chosen, err := (&options{format: "table", only: "split,ties"}).check()
	require.NoError(t, err)
	require.Len(t, chosen, 2)
}

// Fields are found by their paths, and judged by their JSON types.
func TestFields(t *testing.T) {
	var answer any
	require.NoError(t, json.Unmarshal([]byte(`{"n": 3, "half": 0.5, "text": "x", "none": "", "at": "1999-01-01T00:00:00Z", "peers": {"a": {"port": 1}, "b": {}}, "list": []}`), &answer))
	for path, kinds := range map[string][2]string{
		"n": {"int", "string"}, "half": {"number", "int"}, "text": {"string", "time"}, "none": {"text", "string"},
		"peers": {"object", "list"}, "list": {"list", "object"},
	} {
		n, err := field{path, kinds[0]}.in(answer, true)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = field{path, kinds[1]}.in(answer, true)
		require.Error(t, err, path)
	}
	for _, f := range []field{{"m", "int"}, {"at", "time"}, {"peers.*.port", "int"}, {"n.m", "int"}, {"list.*.x", "int"}} {
		_, err := f.in(answer, true)
		require.Error(t, err, f.path)
	}
	n, err := field{"list.*.x", "int"}.in(answer, false)
	require.NoError(t, err, "an empty list may be")
	require.Zero(t, n)
}
