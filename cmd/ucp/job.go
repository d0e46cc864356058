package main

import (
	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/job"
)

// jobCommand is `ucp job`, which holds the verbs about jobs.
func (c *cli) jobCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "job",
		Short: "Submit, list, follow and cancel jobs",
		Long: `Submits, lists, follows and cancels jobs. Any broker can answer for any job. An
ID may be shortened as long as it is unique.

With -o json each verb prints one document: of a single ID the job, of several IDs and of
a choice such as --label k=v always {"jobs": [...]}, also when only one is chosen.`,
	})
	cmd.AddCommand(
		c.jobSubmitCommand(), c.jobListCommand(), c.jobGetCommand(), c.jobLogsCommand(),
		c.jobWaitCommand(), c.jobCancelCommand(), c.jobResultCommand(),
	)
	return cmd
}

func anyState(job.State) bool        { return true }
func unfinished(s job.State) bool    { return !s.Final() }
func finishedState(s job.State) bool { return s.Final() }
