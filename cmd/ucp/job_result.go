package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// jobResultCommand is `ucp job result`.
func (c *cli) jobResultCommand() *cobra.Command {
	var to string
	var s selection
	cmd := &cobra.Command{
		Use:   "result ID...",
		Short: "Fetch the files that a job left",
		Long: `Fetches the output files of an ended job into a directory, each at its own path,
and what it wrote as files "stdout" and "stderr" (unless an output has that
name). Files that are there already are replaced, unless they hold the same; nothing is
written outside. Of a file that broke off, what has come stays beside it as .ucp-part-…,
and the same command goes on behind that.
Of a job that was stopped to make room, or to move, and has not ended since, it
fetches what it had written by then, and says so on stderr.

` + selectHelp + ` The files
of several jobs, and of those chosen, are each in a directory with the job's ID; of
those chosen only jobs that have ended count.`,
		Example:           "  ucp job result k7m2p9q4 --to results\n  ucp job result tiles --to results\n  ucp job result --label batch=7 --to results",
		ValidArgsFunction: c.completeJobs(finishedState),
	}
	c.selectBy(cmd, &s)
	cmd.Args = s.idsOrSelection
	cmd.Flags().StringVar(&to, "to", ".", "`DIR` to write to; made when it is not there")
	must(cmd.MarkFlagDirname("to"))
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, args []string) error {
		left, array := s.takeArray(ctx, client, args)
		if !s.given() && len(left) == 1 {
			r, err := c.fetchResult(ctx, client, args[0], to)
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { resultTable(w, &r, "") })
		}
		err := c.fetchMany(ctx, client, &s, left, to)
		if array {
			err = errors.Join(err, unfinishedOf(ctx, client, args[0]))
		}
		return err
	})
	return cmd
}

// fetched is what was fetched of one job.
type fetched struct {
	ID    job.ID   `json:"id"`
	Dir   string   `json:"dir"`
	Files []string `json:"files"` // below Dir
}

func resultTable(w io.Writer, r *fetched, dir string) {
	if len(r.Files) == 0 {
		row(w, fmt.Sprintf("job %s left no files", r.ID))
	}
	for _, f := range r.Files {
		row(w, filepath.Join(dir, f))
	}
}

// fetchMany fetches what several jobs left, each into its own directory, as far as that is possible.
func (c *cli) fetchMany(ctx context.Context, client *api.Client, s *selection, ids []string, to string) error {
	if s.given() {
		jobs, err := s.chosen(ctx, client, finalStates())
		if err != nil {
			return err
		}
		for _, j := range jobs {
			ids = append(ids, string(j.ID))
		}
	}
	out := []fetched{}
	var failed []error
	fetch := func(ctx context.Context, i int) (fetched, error) {
		return c.fetchResult(ctx, client, ids[i], filepath.Join(to, ids[i]))
	}
	err := pipelined(ctx, len(ids), atOnce, fetch, func(_ int, r fetched, err error) error {
		if err != nil {
			failed = append(failed, err)
			return context.Cause(ctx)
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		return err
	}
	err = c.show(map[string]any{"jobs": out}, func(w io.Writer) {
		for _, r := range out {
			resultTable(w, &r, string(r.ID))
		}
	})
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("the results of %d of %d jobs are not fetched; the first: %w", len(failed), len(ids), failed[0])
	}
	return err
}

// endWithin is how long `job result` waits for a job's end. A broker shows an end once it knows that enough others hold
// it: that may be some tenths of a second after another broker has shown it.
const endWithin = time.Second

// fetchResult fetches what a job left into a directory.
func (c *cli) fetchResult(ctx context.Context, client *api.Client, id, to string) (fetched, error) {
	j, err := client.Job(ctx, id, endWithin)
	if err != nil {
		return fetched{}, err
	}
	if i := slices.IndexFunc(j.Attempts, func(a api.Attempt) bool { return a.Kept != nil }); i >= 0 && !j.State.Final() {
		a := &j.Attempts[i]
		fmt.Fprintf(c.err, "ucp: job %s is %s: this is what it had written at %s when it was stopped there, to run again\n", j.ID, j.State, a.Executor)
		written, err := fetchFiles(ctx, string(j.ID), to, keptFiles(client, a))
		return fetched{ID: j.ID, Dir: to, Files: written}, err
	}
	if !j.State.Final() {
		return fetched{}, fmt.Errorf("job %s is %s; wait for its result with `ucp job wait %s`", j.ID, j.State, j.ID)
	}
	if j.Removed {
		return fetched{}, fmt.Errorf("job %s has %s", j.ID, stateText(&j))
	}
	if j, err = c.awaitLeft(ctx, client, j); err != nil {
		return fetched{}, err
	}
	files := withStreams(outputFiles(client, &j), outputFile{blob: j.Stdout, open: client.Stdout}, outputFile{blob: j.Stderr, open: client.Stderr})
	written, err := fetchFiles(ctx, string(j.ID), to, files)
	return fetched{ID: j.ID, Dir: to, Files: written}, err
}
