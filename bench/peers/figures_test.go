package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A ratio is the median of those of each round, and not that of medians: both halves of a round had the same neighbours.
func TestRatiosAreOfOneRound(t *testing.T) {
	s := summarise([]figures{{"ucp/s": 10, "bare/s": 20}, {"ucp/s": 100, "bare/s": 100}, {"ucp/s": 30, "bare/s": 40}})
	if got := s.Ratios["submit / bare"]; got != 0.75 {
		t.Fatalf("%v, and not 0.75", got)
	}
	if _, ok := s.Ratios["submit / etcd"]; ok {
		t.Fatal("a ratio of what was not measured")
	}
	var out strings.Builder
	s.print(&out)
	for _, want := range []string{"submit / bare                    0.75           at least 1     NOT reached", "submit / etcd                    not measured"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

// What became slower than recorded is named, also where less is better.
func TestCheckNamesWhatBecameSlower(t *testing.T) {
	file := filepath.Join(t.TempDir(), "recorded.json")
	if err := summarise([]figures{{"ucp/s": 100, "bare/s": 100, "ucp-half-p99": 10, "bare-half-p99": 10}}).record(file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now   figures
		wrong string
	}{
		{figures{"ucp/s": 85, "bare/s": 100, "ucp-half-p99": 11, "bare-half-p99": 10}, ""},
		{figures{"ucp/s": 60, "bare/s": 100}, "SLOWER: submit / bare was 1.00 when it was recorded, and is 0.60"},
		{figures{"ucp-half-p99": 20, "bare-half-p99": 10}, "SLOWER: p99 at half load / bare was 1.00 when it was recorded, and is 2.00"},
	} {
		var out strings.Builder
		err := summarise([]figures{c.now}).check(file, 0.2, &out)
		if (err != nil) != (c.wrong != "") || !strings.Contains(out.String(), c.wrong) {
			t.Errorf("%v: %v: %s", c.now, err, &out)
		}
	}
	if err := summarise([]figures{{"etcd/s": 1}}).check(file, 0.2, &strings.Builder{}); err == nil {
		t.Error("nothing was compared, and all is well")
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := summarise([]figures{{"ucp/s": 1, "bare/s": 1}}).check(file, 0.2, &strings.Builder{}); err == nil {
		t.Error("a file that is cut was taken")
	}
}
