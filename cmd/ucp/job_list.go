package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// jobListCommand is `ucp job list`.
func (c *cli) jobListCommand() *cobra.Command {
	var o api.ListOptions
	var state string
	var all bool
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List jobs, newest first",
		Example:           "  ucp job list\n  ucp job list --state running\n  ucp job list --all -o json",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&state, "state", "", "only jobs in this `STATE`: "+stateNames())
	cmd.Flags().IntVar(&o.Limit, "limit", 50, "at most so many")
	cmd.Flags().StringVar(&o.After, "after", "", "continue behind this `CURSOR` (the \"next\" of the page before)")
	cmd.Flags().BoolVar(&all, "all", false, "all pages")
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(strings.Split(stateNames(), ", "), cobra.ShellCompDirectiveNoFileComp)))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		if o.State = job.State(state); state != "" && !slices.Contains(job.States, o.State) {
			return fmt.Errorf("--state %q: want one of %s", state, stateNames())
		}
		if o.Limit < 1 {
			return fmt.Errorf("--limit %d: at least 1", o.Limit)
		}
		l, err := listJobs(ctx, client, o, all)
		if err != nil {
			return err
		}
		return c.show(l, func(w io.Writer) { jobsTable(w, &l, state) })
	})
	return cmd
}

func stateNames() string {
	var names []string
	for _, s := range job.States {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// listJobs reads one page, or with all the pages from there to the end.
func listJobs(ctx context.Context, client *api.Client, o api.ListOptions, all bool) (api.JobList, error) {
	out := api.JobList{Jobs: []api.Job{}}
	for {
		page, err := client.Jobs(ctx, o)
		if err != nil {
			return out, err
		}
		out.Jobs, out.Next, out.AsOf = append(out.Jobs, page.Jobs...), page.Next, page.AsOf
		if !all || page.Next == "" || page.Next == o.After {
			return out, nil
		}
		o.After = page.Next
	}
}

func jobsTable(w io.Writer, l *api.JobList, state string) {
	if len(l.Jobs) == 0 {
		if state != "" {
			state = " " + state
		}
		row(w, "no"+state+" jobs")
		return
	}
	row(w, "ID", "NAME", "STATE", "EXECUTOR", "EXIT", "AGE", "TOOK", "NOTE")
	for _, j := range l.Jobs {
		row(w, j.ID, dash(shorten(j.Name, 24)), j.State, dash(j.Executor), exitText(j.ExitCode), ago(j.SubmittedAt, l.AsOf), took(&j, l.AsOf), shorten(noteOf(&j), 60))
	}
	if l.Next != "" {
		row(w, "... more: --all, or --after "+l.Next)
	}
}

// noteOf is the most important thing about a job beside its state.
func noteOf(j *api.Job) string {
	text := j.Reason + j.Why
	if last := len(j.Pauses) - 1; text == "" && last >= 0 && j.Pauses[last].To == 0 && !j.State.Final() {
		text = fmt.Sprintf("makes room for %s", j.Pauses[last].For)
	}
	if j.Emergency == "" || j.State.Final() {
		return text
	}
	return strings.TrimSuffix("has the level of "+j.Emergency+"; "+text, "; ")
}

func exitText(code *int) string {
	if code == nil {
		return "-"
	}
	return strconv.Itoa(*code)
}

// took is how long the job ran, or has been running.
func took(j *api.Job, now time.Time) string {
	switch {
	case j.StartedAt == 0:
		return "-"
	case j.State.Final() && j.FinishedAt != 0:
		return humanDuration(j.FinishedAt.Time().Sub(j.StartedAt.Time()))
	case j.State.Final():
		return "-"
	}
	return ago(j.StartedAt, now)
}

// shorten cuts a text to n characters, the last of which then says so.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
