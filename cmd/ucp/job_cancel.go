package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

// jobCancelCommand is `ucp job cancel`.
func (c *cli) jobCancelCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "cancel ID...",
		Short: "End jobs",
		Long: `Ends jobs, wherever they wait or run, and prints how each stands.

` + selectHelp + `
Of those chosen only unfinished ones are ended. A named job that had ended already
stays as it is, which is an error.`,
		Example:           "  ucp job cancel k7m2p9q4\n  ucp job cancel --label batch=7 --state pending,queued",
		ValidArgsFunction: c.completeJobs(unfinished),
	}
	c.selectBy(cmd, &s)
	cmd.Args = s.idsOrSelection
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		if !s.given() && len(args) == 1 {
			j, err := client.Cancel(ctx, args[0])
			if err == nil {
				return c.show(j, func(w io.Writer) { row(w, j.ID, j.State) })
			}
			var array bool // who may cancel may not be one who may read: so it is asked for only now
			if args, array = s.takeArray(ctx, client, args); !array {
				return fmt.Errorf("cancelling job %s: %w", args[0], err)
			}
		}
		return c.cancelMany(ctx, client, &s, args)
	})
	return cmd
}

// cancelMany ends several jobs, as far as that is possible, and says of each how it stands.
func (c *cli) cancelMany(ctx context.Context, client *api.Client, s *selection, ids []string) error {
	if s.given() {
		jobs, err := s.chosen(ctx, client, unfinishedStates())
		if err != nil {
			return err
		}
		for _, j := range jobs {
			ids = append(ids, string(j.ID))
		}
	}
	out := api.JobList{Jobs: []api.Job{}}
	var failed []error
	end := func(ctx context.Context, i int) (api.Job, error) {
		j, err := client.Cancel(ctx, ids[i])
		var refused *api.Error
		if s.given() && errors.As(err, &refused) && refused.Code == api.CodeConflict {
			return client.Job(ctx, ids[i], 0) // it has ended since it was chosen
		}
		return j, err
	}
	err := pipelined(ctx, len(ids), atOnce, end, func(i int, j api.Job, err error) error {
		if err != nil {
			failed = append(failed, fmt.Errorf("job %s: %w", ids[i], err))
			return context.Cause(ctx)
		}
		out.Jobs, out.AsOf = append(out.Jobs, j), j.AsOf
		return nil
	})
	if err != nil {
		return err
	}
	err = c.show(out, func(w io.Writer) {
		for _, j := range out.Jobs {
			row(w, j.ID, j.State)
		}
	})
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%d of %d jobs are not cancelled; the first: %w", len(failed), len(ids), failed[0])
	}
	return err
}
