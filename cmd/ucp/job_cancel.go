package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

// jobCancelCommand is `ucp job cancel`.
func (c *cli) jobCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "cancel ID",
		Short:             "End a job",
		Long:              "Ends a job, wherever it waits or runs. A job that had ended already stays as it is, which is an error.",
		Example:           "  ucp job cancel 0198c2",
		Args:              exactArgs("a job ID"),
		ValidArgsFunction: c.completeJobs(unfinished),
		RunE: c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
			j, err := client.Cancel(ctx, args[0])
			if err != nil {
				return fmt.Errorf("cancelling job %s: %w", args[0], err)
			}
			return c.show(j, func(w io.Writer) { row(w, j.ID, j.State) })
		}),
	}
}
