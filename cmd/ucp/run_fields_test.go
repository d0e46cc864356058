package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// flagless are the fields of a spec that `ucp run` has no flag for, each with the reason.
var flagless = map[string]string{
	"driver":        "it has one, and follows from the program without",
	"module":        "the program is an argument",
	"command":       "the program is an argument",
	"args":          "they stand behind --",
	"named_outputs": "not built yet",
	"resources.io":  "nobody can say how much I/O a job makes; a spec file can",
}

// Each row of the table "A job's spec" in docs/design.md (which has one for each field: a test of package
// job sees to that) names the flag of `ucp run` that sets the field, and that flag exists. A field without
// a flag is listed here with the reason.
func TestEveryFieldHasAFlag(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "design.md"))
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(b), "### A job's spec")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n#")
	run, _, err := (&cli{}).rootCommand().Find([]string{"run"})
	require.NoError(t, err)
	flag := regexp.MustCompile("`--([a-z-]+)`")
	fields := 0
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|.*\\|([^|]*)\\|$").FindAllStringSubmatch(table, -1) {
		fields++
		names := flag.FindAllStringSubmatch(row[2], -1)
		if len(names) == 0 && flagless[row[1]] == "" {
			t.Errorf("job.Spec %s: `ucp run` has no flag for it: add one in run_flags.go and to its row in docs/design.md, or list it in flagless with the reason", row[1])
		}
		for _, name := range names {
			if run.Flags().Lookup(name[1]) == nil {
				t.Errorf("job.Spec %s: docs/design.md names the flag --%s, which `ucp run` does not have", row[1], name[1])
			}
		}
	}
	require.Greater(t, fields, 20)
}
