package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

const logsHelp = `Prints what an ended job wrote, byte for byte: its stdout to stdout, its stderr to
stderr. With -f also what a running job has written so far, and what it goes on to write,
wherever it runs, until it has ended. When an attempt ends and the job is run again
elsewhere, that is said on stderr, and the output of the next attempt follows.

Of an array, by its ID, it prints what its jobs wrote, one after another, in the order of their
indices; those that have not ended are left out, with exit code 1.

--attempt chooses one attempt: 1 is the first of those that "ucp job get" lists. --timestamps puts the time at
which a line came here before it; what was written earlier comes with the time of now.

With -o json both are fields of one object, as text; as base64 where one of the two is not
UTF-8, and "encoding" says so.`

// logsFlags are what `ucp job logs` was told.
type logsFlags struct {
	onlyOut, onlyErr   bool
	follow, timestamps bool
	tail               int
	attempt            int
}

// jobLogsCommand is `ucp job logs`.
func (c *cli) jobLogsCommand() *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:               "logs ID",
		Short:             "Print what a job wrote to stdout and stderr, also while it runs",
		Long:              logsHelp,
		Example:           "  ucp job logs k7m2p9q4\n  ucp job logs k7m2p9q4 --stderr\n  ucp job logs -f --tail 10 k7m2p9q4\n  ucp job logs tiles",
		Args:              exactArgs("a job ID"),
		ValidArgsFunction: c.completeJob(anyState),
	}
	cmd.Flags().BoolVar(&f.onlyOut, "stdout", false, "only stdout")
	cmd.Flags().BoolVar(&f.onlyErr, "stderr", false, "only stderr (on stderr)")
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on while the job runs, until it has ended")
	cmd.Flags().BoolVar(&f.timestamps, "timestamps", false, "with -f: the time at which a line came, before it")
	cmd.Flags().IntVar(&f.tail, "tail", -1, "only the last `N` lines of what was written before, of each of the two (-1: all)")
	cmd.Flags().IntVar(&f.attempt, "attempt", 0, "of the attempt with this `NUMBER` in the list of job get, from 1 on (0: the one that counts, or with -f each)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		switch {
		case f.onlyOut && f.onlyErr:
			return errors.New("--stdout and --stderr: say one of them, or none for both")
		case f.tail < -1 || f.attempt < 0:
			return errors.New("--tail and --attempt: a number from 0 on")
		case isArray(ctx, client, args[0]):
			return c.logsOfArray(ctx, client, args[0], &f)
		case c.format == formatJSON && (f.follow || f.timestamps || f.tail >= 0 || f.attempt > 0):
			return errors.New("-o json is of the whole output: leave -f, --timestamps, --tail and --attempt away")
		case c.format == formatJSON:
			return c.logsAsJSON(ctx, client, args[0], f.onlyOut, f.onlyErr)
		case f.follow || f.timestamps || f.tail >= 0 || f.attempt > 0:
			ctx, stop := c.interruptible(ctx)
			defer stop()
			return c.followLogs(ctx, client, args[0], &f)
		}
		if !f.onlyErr {
			if err := copyStream(ctx, client.Stdout, args[0], c.out); err != nil {
				return err
			}
		}
		if f.onlyOut {
			return nil
		}
		return copyStream(ctx, client.Stderr, args[0], c.err)
	})
	return cmd
}

// logs is what a job wrote, as -o json shows it.
type logs struct {
	ID       string  `json:"id"`
	Encoding string  `json:"encoding"` // of both: "utf-8" or "base64"
	Stdout   *string `json:"stdout,omitempty"`
	Stderr   *string `json:"stderr,omitempty"`
}

// logsAsJSON prints what a job wrote as one object.
func (c *cli) logsAsJSON(ctx context.Context, client *api.Client, id string, onlyOut, onlyErr bool) error {
	var stdout, stderr bytes.Buffer
	l := logs{ID: id, Encoding: "utf-8"}
	if !onlyErr {
		if err := copyStream(ctx, client.Stdout, id, &stdout); err != nil {
			return err
		}
	}
	if !onlyOut {
		if err := copyStream(ctx, client.Stderr, id, &stderr); err != nil {
			return err
		}
	}
	text := func(b []byte) *string { return new(string(b)) }
	if !utf8.Valid(stdout.Bytes()) || !utf8.Valid(stderr.Bytes()) {
		l.Encoding = "base64"
		text = func(b []byte) *string { return new(base64.StdEncoding.EncodeToString(b)) }
	}
	if !onlyErr {
		l.Stdout = text(stdout.Bytes())
	}
	if !onlyOut {
		l.Stderr = text(stderr.Bytes())
	}
	return c.show(l, nil)
}

// copyStream copies one stream of a job byte for byte.
func copyStream(ctx context.Context, open func(context.Context, string) (io.ReadCloser, error), id string, to io.Writer) error {
	r, err := open(ctx, id)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(to, r); err != nil {
		return fmt.Errorf("copying the output of job %s: %w", id, err)
	}
	return nil
}
