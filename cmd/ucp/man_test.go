package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
)

// Every verb has a page with its flags, the same each time; a directory that can't be made is an error.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man", "man1")
	got := newShell(t).run("man", dir)
	require.Zero(t, got.code, got.errOut)
	everyVerb(func(cmd *cobra.Command) {
		path := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		page := strings.ReplaceAll(string(b), `\-`, "-")
		require.Contains(t, page, ".SH NAME\n"+filepath.Base(strings.TrimSuffix(path, ".1"))+" - ")
		require.NotContains(t, page, "0001", "no date is made up")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !f.Hidden {
				require.Contains(t, page, "--"+f.Name, path)
			}
		})
		for _, seen := range regexp.MustCompile(`ucp[a-z-]+\(1\)`).FindAllString(page[strings.LastIndex(page, "SEE ALSO"):], -1) {
			require.FileExists(t, filepath.Join(dir, strings.TrimSuffix(seen, "(1)")+".1"), path)
		}
	})
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%d man pages in %s\n", len(files), dir), got.out)
	first, err := os.ReadFile(filepath.Join(dir, "ucp-run.1"))
	require.NoError(t, err)
	require.Zero(t, newShell(t).run("man", dir).code)
	again, err := os.ReadFile(filepath.Join(dir, "ucp-run.1"))
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Contains(t, newShell(t).run("man", "/dev/null/x").errOut, "making the directory for man pages")
	require.Contains(t, newShell(t).run("man").errOut, "needs the directory to write to")
}

// Where a flag or an argument has one of a few values, the shell offers all of them, also where no broker answers.
func TestFiniteValuesAreOffered(t *testing.T) {
	s := newShell(t)
	s.env["UCP_ADDR"] = "127.0.0.1:1"
	numbers := []string{"0", "1", "5", "10"}
	for line, want := range map[string][]string{
		"members -o":                 {"table", "json"},
		"agent --strategy":           {"causal", "emergency", "priority", "fcfs"},
		"agent --emergency-strategy": {"emergency", "keep"},
		"agent --log-level":          {"debug", "info", "warn", "error"},
		"agent --log-format":         {"text", "json"},
		"agent --require-sandbox=":   executor.Walls,
		"agent log-level":            {"debug", "info", "warn", "error"},
		"run --driver":               {"wasm", "process"},
		"run --preempt":              {"suspend", "requeue", "never"},
		"run --priority":             numbers,
		"run --checkpoint-signal":    job.CheckpointSignals,
		"run --emergency":            job.Levels(),
		"job list --state":           {"pending", "running", "succeeded"},
		"job list --emergency":       job.Levels(),
		"trace --state":              {"pending", "running", "succeeded"},
		"emergency declare --level":  {"low", "medium", "high", "critical"},
		"events --kinds":             {"emergency", "preemption", "job", "member", "health", "strategy", "data"},
		"plan show p --format":       {"tree", "dot", "mermaid", "json"},
		"strategy set":               {"causal", "emergency", "priority", "fcfs"},
		"data put --if":              {"none"},
		"cluster invite --role":      {"broker", "operator"},
		"token create --scope":       {"read", "submit"},
	} {
		args := append([]string{"__complete"}, strings.Fields(line)...)
		if !strings.HasSuffix(line, "=") {
			args = append(args, "")
		}
		got := s.run(args...)
		for _, value := range want {
			require.Regexp(t, `(?m)^`+value+`(\t|$)`, got.out, line)
		}
	}
}
