package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// jobCommand is `ucp job`, which holds the verbs about jobs.
func (c *cli) jobCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "job",
		Short: "Submit, list, follow and cancel jobs",
		Long: `Submits, lists, follows and cancels jobs. Any broker can answer for any job. An
ID may be shortened as long as it is unique.`,
	})
	cmd.AddCommand(
		c.jobSubmitCommand(), c.jobListCommand(), c.jobGetCommand(), c.jobLogsCommand(),
		c.jobWaitCommand(), c.jobCancelCommand(), c.jobResultCommand(),
	)
	return cmd
}

// completeTimeout bounds what a press of the tab key waits for.
const completeTimeout = 500 * time.Millisecond

// completeJobs completes the first argument with the newest jobs that keep
// accepts.
func (c *cli) completeJobs(keep func(job.State) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		client, ok := c.completer(cmd)
		if !ok || len(args) > 0 {
			return nil, directive
		}
		ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
		defer cancel()
		l, err := client.Jobs(ctx, api.ListOptions{Limit: 50})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var out []string
		for _, j := range l.Jobs {
			if keep(j.State) {
				out = append(out, cobra.CompletionWithDesc(string(j.ID), string(j.State)))
			}
		}
		return out, directive
	}
}

// completer makes a client for a completion, where no verb has run its checks.
func (c *cli) completer(cmd *cobra.Command) (*api.Client, bool) {
	if c.globalsFromEnv(cmd.Root().PersistentFlags()) != nil {
		return nil, false
	}
	client, err := c.client()
	return client, err == nil
}

func anyState(job.State) bool        { return true }
func unfinished(s job.State) bool    { return !s.Final() }
func finishedState(s job.State) bool { return s.Final() }
