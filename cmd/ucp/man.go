package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand is `ucp man`: the help of all verbs as man pages.
func (c *cli) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write a man page for each verb",
		Long: `Writes a man page for each verb into a directory, which is made when it is not there: ucp.1,
ucp-run.1, ucp-job-list.1 and so on. They say what --help says.`,
		Example:           "  ucp man ~/.local/share/man/man1 && man ucp-run\n  ucp man ./man && man -l ./man/ucp.1",
		Args:              exactArgs("the directory to write to"),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // a man page is for everybody
				return fmt.Errorf("making the directory for man pages: %w", err)
			}
			n, err := writeManPages(cmd.Root(), args[0])
			if err != nil {
				return fmt.Errorf("writing man pages to %s: %w", args[0], err)
			}
			_, err = fmt.Fprintf(c.out, "%d man pages in %s\n", n, args[0])
			return err
		},
	}
}

// writeManPages writes a page for a verb, and for all below it that help shows.
func writeManPages(cmd *cobra.Command, dir string) (n int, err error) {
	if cmd.Hidden || cmd.Name() == "help" {
		return 0, nil
	}
	for _, sub := range cmd.Commands() {
		below, err := writeManPages(sub, dir)
		if n += below; err != nil {
			return n, err
		}
	}
	long := cmd.Long
	cmd.Long, cmd.DisableAutoGenTag = literal(long), true
	var page bytes.Buffer
	err = doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Date: &time.Time{}, Source: "ucp " + readVersion().String(), Manual: "Urban Compute Platform"}, &page)
	cmd.Long = long
	if err != nil {
		return n, err
	}
	text := strings.Replace(page.String(), `"Jan 0001"`, `""`, 1) // no date: the same program writes the same pages
	path := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
	return n + 1, os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // a man page is for everybody
}

// literal marks what Markdown, which man pages are made from, would take as its own.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`).Replace(text)
}
