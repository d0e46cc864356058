package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

// jobLogsCommand is `ucp job logs`.
func (c *cli) jobLogsCommand() *cobra.Command {
	var onlyOut, onlyErr bool
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Print what a job wrote to stdout and stderr",
		Long: `Prints what an ended job wrote, byte for byte: its stdout to stdout, its stderr
to stderr. A job that still runs has no output yet; "ucp job wait" waits for it.`,
		Example:           "  ucp job logs k7m2p9q4\n  ucp job logs k7m2p9q4 --stderr",
		Args:              exactArgs("a job ID"),
		ValidArgsFunction: c.completeJobs(finishedState),
	}
	cmd.Flags().BoolVar(&onlyOut, "stdout", false, "only stdout")
	cmd.Flags().BoolVar(&onlyErr, "stderr", false, "only stderr (on stderr)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		if onlyOut && onlyErr {
			return errors.New("--stdout and --stderr: say one of them, or none for both")
		}
		if !onlyErr {
			if err := copyStream(ctx, client.Stdout, args[0], c.out); err != nil {
				return err
			}
		}
		if onlyOut {
			return nil
		}
		return copyStream(ctx, client.Stderr, args[0], c.err)
	})
	return cmd
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
