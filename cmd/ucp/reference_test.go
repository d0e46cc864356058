package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// The pages of docs/reference are what the code says:
//
//	go test ./cmd/ucp -run TestReference -rewrite
func TestReference(t *testing.T) {
	for name, page := range map[string]string{"cli.md": commandPage(), "states.md": statesPage(t)} {
		path := filepath.Join("../../docs/reference", name)
		if *rewrite {
			require.NoError(t, os.WriteFile(path, []byte(page), 0o644)) //nolint:gosec // a page is for everybody
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, page, string(got), "%s is stale: go test ./cmd/ucp -run TestReference -rewrite, and read the diff", path)
	}
}

const writtenBy = "<!-- Written by `go test ./cmd/ucp -run TestReference -rewrite`: change the code that it names. -->\n\n"

const commandHead = "# Command line\n\n" + writtenBy + "Every verb and every flag. What a verb does, with examples and exit codes, says `ucp VERB --help`; `ucp man DIR` writes the same as man pages.\n"

// commandPage lists all verbs and their flags.
func commandPage() string {
	var index, verbs strings.Builder
	everyVerb(func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.HasParent() {
			fmt.Fprintf(&index, "| [`%s`](#%s) | %s |\n", path, strings.ReplaceAll(path, " ", "-"), cell(cmd.Short))
		}
		fmt.Fprintf(&verbs, "\n## %s\n\n%s.\n\n    %s\n", path, cell(cmd.Short), cmd.UseLine())
		var needs []string
		for _, n := range needsOf(path) {
			needs = append(needs, n.String())
		}
		if len(needs) > 0 {
			fmt.Fprintf(&verbs, "\nIn a city it takes %s.\n", cell(strings.Join(needs, "; and ")))
		}
		switch path {
		case "ucp":
			verbs.WriteString("\nEvery verb has these flags:\n")
		case "ucp agent":
			verbs.WriteString("\nEach but `--config` is, without its dashes, a key of the [config file](../../config.example.yaml). A flag goes before its variable, and that before the file.\n")
		}
		verbs.WriteString(flagTable(cmd.LocalFlags(), path == "ucp agent"))
	})
	return commandHead + "\n| verb | what it does |\n| --- | --- |\n" + index.String() + verbs.String()
}

// flagTable lists flags, "" where there are none. Settings are those of a broker: they are keys of its config file, and variables, too.
func flagTable(flags *pflag.FlagSet, settings bool) string {
	head, rows := []string{"flag", "default", "what it is"}, ""
	if settings {
		head = slices.Insert(head, 1, "variable")
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name, def := strings.TrimSpace("--"+f.Name+" "+kind), ""
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if !slices.Contains([]string{"", "0", "0s", "0 B", "false", "[]"}, f.DefValue) {
			def = code(f.DefValue)
		}
		cells := []string{code(name), def, cell(usage)}
		if settings {
			cells = slices.Insert(cells, 1, code(variable(f.Name)))
		}
		rows += "| " + strings.Join(cells, " | ") + " |\n"
	})
	if rows == "" {
		return ""
	}
	return "\n| " + strings.Join(head, " | ") + " |\n|" + strings.Repeat(" --- |", len(head)) + "\n" + rows
}

// cell is a text as it stands in a cell of a table of Markdown.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`, "*", `\*`, "<", `\<`).Replace(s)
}

// code is a text as it stands there between back quotes.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }
