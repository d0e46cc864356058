package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// jobWaitCommand is `ucp job wait`.
func (c *cli) jobWaitCommand() *cobra.Command {
	var p patience
	var s selection
	cmd := &cobra.Command{
		Use:   "wait ID...",
		Short: "Wait until a job has ended, and end with its exit code",
		Long: `Waits until a job has ended, prints its state, and ends with its exit code, or
with 124 if the job's own timeout has ended it, and the reason. When the broker stops
answering others are asked. While none answers it goes on until --timeout is over, or
without one for ten minutes.

` + selectHelp + ` Of several
jobs, and of those chosen, the state of each is printed as it ends; the exit code is 0
when all have succeeded, else 1.`,
		Example:           "  ucp job wait k7m2p9q4\n  ucp job wait k7m2p9q4 --timeout 10m\n  ucp job wait --label batch=7",
		ValidArgsFunction: c.completeJobs(unfinished),
	}
	c.selectBy(cmd, &s)
	cmd.Args = s.idsOrSelection
	cmd.Flags().DurationVar(&p.total, "timeout", 0, "give up waiting after this time, with exit code 1; the job goes on (0: never)")
	p.register(cmd)
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		ctx, stop := c.interruptible(ctx)
		defer stop()
		args, _ = s.takeArray(ctx, client, args)
		if s.given() || len(args) > 1 {
			return c.waitForMany(ctx, client, &s, args, p)
		}
		j, err := c.follow(ctx, client, args[0], time.Now(), p)
		if err != nil {
			return err
		}
		if err := c.show(j, func(w io.Writer) { row(w, j.ID, j.State) }); err != nil {
			return err
		}
		return jobExit(&j)
	})
	return cmd
}

// waitForMany waits until several jobs have ended, and says of each how.
func (c *cli) waitForMany(ctx context.Context, client *api.Client, s *selection, ids []string, p patience) error {
	count := func(ctx context.Context) (map[job.State]int, error) {
		o, err := s.options()
		if err != nil {
			return nil, err
		}
		return client.CountJobs(ctx, o)
	}
	if s.given() {
		jobs, err := s.chosen(ctx, client, nil)
		if err != nil {
			return err
		}
		ids = idsOf(jobs)
	} else {
		count = nil
	}
	failed, all := 0, api.JobList{Jobs: []api.Job{}}
	err := c.awaitMany(ctx, client, ids, p, count, func(j api.Job) error {
		if j.State != job.StateSucceeded {
			failed++
		}
		if c.format == formatJSON {
			all.Jobs, all.AsOf = append(all.Jobs, j), j.AsOf
			return nil
		}
		return c.show(j, func(w io.Writer) { row(w, j.ID, j.State) })
	})
	if c.format == formatJSON {
		err = errors.Join(c.show(all, nil), err) // those that have ended, also when not all have
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d jobs have not succeeded", failed, len(ids))
	}
	return err
}

// jobExit turns a final job into ucp's own end: the job's exit code, 124 if its
// timeout has ended it, or 1 where it has no code that tells of its failure. Whatever
// the code does not say comes with it: a limit, a signal, what is not among the outputs.
func jobExit(j *api.Job) error {
	code := 0
	if j.ExitCode != nil {
		code = *j.ExitCode
	}
	if j.State == job.StateSucceeded && code == 0 {
		return nil
	}
	reason := j.Reason
	if reason == "" {
		reason = "no reason is known; `ucp job get " + string(j.ID) + "` shows more"
	}
	why := fmt.Errorf("job %s %s: %s", j.ID, j.State, reason)
	switch {
	case j.TimedOut:
		return &exitCode{code: exitTimedOut, err: why}
	case code == 0:
		return &exitCode{code: exitError, err: why}
	case code < 0 || code > 255: // the system keeps 8 bits, and 256 would be success
		code = 255
	}
	if j.Reason != "" && j.Reason != job.ExitReason(*j.ExitCode) {
		return &exitCode{code: code, err: why}
	}
	return &exitCode{code: code}
}
