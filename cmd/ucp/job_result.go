package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

// jobResultCommand is `ucp job result`.
func (c *cli) jobResultCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "result ID",
		Short: "Fetch the files that a job left",
		Long: `Fetches the output files of an ended job into a directory, each at its own path,
and what it wrote as files "stdout" and "stderr" (unless an output has that
name). Files that are there already are replaced; nothing is written outside.`,
		Example:           "  ucp job result 0198c2 --to results",
		Args:              exactArgs("a job ID"),
		ValidArgsFunction: c.completeJobs(finishedState),
	}
	cmd.Flags().StringVar(&to, "to", ".", "`DIR` to write to; made when it is not there")
	must(cmd.MarkFlagDirname("to"))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		j, err := client.Job(ctx, args[0], 0)
		if err != nil {
			return err
		}
		if !j.State.Final() {
			return fmt.Errorf("job %s is %s; wait for its result with `ucp job wait %s`", j.ID, j.State, j.ID)
		}
		if j.Removed {
			return fmt.Errorf("job %s has %s", j.ID, stateText(&j))
		}
		if j, err = c.awaitLeft(ctx, client, j); err != nil {
			return err
		}
		files := outputFiles(client, &j)
		for name, f := range map[string]outputFile{
			"stdout": {j.Stdout, client.Stdout}, "stderr": {j.Stderr, client.Stderr},
		} {
			if _, taken := files[name]; !taken && f.blob != nil {
				files[name] = f
			}
		}
		written, err := fetchFiles(ctx, string(j.ID), to, files)
		if err != nil {
			return err
		}
		return c.show(map[string]any{"id": j.ID, "dir": to, "files": written}, func(w io.Writer) {
			if len(written) == 0 {
				row(w, fmt.Sprintf("job %s left no files", j.ID))
			}
			for _, f := range written {
				row(w, f)
			}
		})
	})
	return cmd
}
