package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

const listHelp = `Lists jobs, newest first, or those that --state, --label, --name, --broker,
--emergency, --submitter and --mine choose; all that are given must hold. An ID is shown as short as it tells
the job from all others at this broker; every verb takes it so.

The note says why a job waits, or why it ended so. "running?" is a job on a broker that
does not answer the one that is asked: nobody here knows whether it still runs.`

// jobListCommand is `ucp job list`.
func (c *cli) jobListCommand() *cobra.Command {
	var s selection
	var limit int
	var after string
	var all, count bool
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List jobs, newest first",
		Long:              listHelp,
		Example:           "  ucp job list\n  ucp job list --state pending,queued\n  ucp job list --label batch=7 --broker van-3\n  ucp job list --emergency flood --all -o json\n  ucp job list --label array=tiles --count",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.selectBy(cmd, &s)
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	cmd.Flags().StringVar(&after, "after", "", "continue behind this `CURSOR` (the \"next\" of the page before)")
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.Flags().BoolVar(&count, "count", false, "only how many there are in each state")
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, _ []string) error {
		o, err := s.options()
		if err != nil {
			return err
		}
		if count {
			return c.showCounts(ctx, client, o)
		}
		if limit < 1 {
			return fmt.Errorf("--limit %d: at least 1", limit)
		}
		if o.After = after; all {
			limit = 0
		}
		l, err := listJobs(ctx, client, o, limit)
		if err != nil {
			return err
		}
		meant := ""
		if len(l.Jobs) == 0 {
			meant = s.meant(ctx, client)
		}
		return c.show(l, func(w io.Writer) { jobsTable(w, &l, &s, meant, c.outColumns()) })
	})
	return cmd
}

// showCounts prints how many jobs are chosen, by their states.
func (c *cli) showCounts(ctx context.Context, client *api.Client, o api.ListOptions) error {
	n, err := client.CountJobs(ctx, o)
	if err != nil {
		return err
	}
	return c.show(map[string]any{"counts": n}, func(w io.Writer) {
		all := 0
		for _, s := range job.States {
			if n[s] > 0 {
				all += n[s]
				row(w, s, n[s])
			}
		}
		row(w, "all", all)
	})
}

func stateNames() string {
	var names []string
	for _, s := range job.States {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// listJobs reads so many jobs, or with 0 all of them, page by page: a broker that looks for few among many answers with
// short pages.
func listJobs(ctx context.Context, client *api.Client, o api.ListOptions, limit int) (api.JobList, error) {
	out := api.JobList{Jobs: []api.Job{}}
	for {
		if limit > 0 {
			o.Limit = limit - len(out.Jobs)
		}
		page, err := client.Jobs(ctx, o)
		if err != nil {
			return out, err
		}
		out.Jobs, out.Next, out.AsOf = append(out.Jobs, page.Jobs...), page.Next, page.AsOf
		if page.Next == "" || page.Next == o.After || limit > 0 && len(out.Jobs) >= limit {
			return out, nil
		}
		o.After = page.Next
	}
}

// jobsTable lists jobs. On a screen of so many columns (0: not on a screen, of any width) a note that does not fit behind
// its job stands below it.
func jobsTable(w io.Writer, l *api.JobList, s *selection, meant string, columns int) {
	if len(l.Jobs) == 0 {
		text := "no jobs"
		if s.given() {
			text = "no job matches" + meant
		}
		row(w, text)
		return
	}
	rows := [][]string{{"ID", "NAME", "STATE", "AT", "AGE", "TOOK", ""}}
	notes := []string{"NOTE"}
	for _, j := range l.Jobs {
		rows = append(rows, []string{shortID(&j), dash(shorten(j.Name, 16)), stateIn(&j), dash(j.Executor), ago(j.SubmittedAt, l.AsOf), took(&j, l.AsOf), ""})
		notes = append(notes, noteOf(&j))
	}
	for i, line := range aligned(rows) {
		note := oneLine(notes[i])
		if columns == 0 || len([]rune(line))+len([]rune(note)) <= columns {
			row(w, strings.TrimRight(line+note, " "))
			continue
		}
		row(w, strings.TrimRight(line, " "))
		for _, part := range wrapped(note, columns-4) {
			row(w, "    "+part)
		}
	}
	if l.Next != "" {
		row(w, "... more: --all, or --after "+l.Next)
	}
}

// shortID is what a person types to mean a job.
func shortID(j *api.Job) string {
	if j.Short != "" {
		return j.Short
	}
	return string(j.ID)
}

// stateIn is a job's state, with a question mark where its broker does not answer, and it may have been another for long.
func stateIn(j *api.Job) string {
	if j.Silent {
		return string(j.State) + "?"
	}
	return string(j.State)
}

// noteOf is the most important thing about a job beside its state.
func noteOf(j *api.Job) string {
	text := j.Reason + j.Why
	if code := j.ExitCode; text == "" && code != nil && *code != 0 {
		text = job.ExitReason(*code)
	}
	if last := len(j.Pauses) - 1; text == "" && last >= 0 && j.Pauses[last].To == 0 && !j.State.Final() {
		text = fmt.Sprintf("makes room for %s", j.Pauses[last].For)
	}
	if j.Silent {
		text = strings.TrimSuffix(j.Executor+" does not answer; "+text, "; ")
	}
	switch {
	case j.State.Final():
		return text
	case j.NoLevel != "":
		return strings.TrimSuffix(j.NoLevel+"; "+text, "; ")
	case j.Emergency == "":
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
	case wentOn(j) != nil: // for how long before that nobody says who is not its broker
		return ">" + ago(j.StartedAt, now)
	}
	return ago(j.StartedAt, now)
}

// wentOn is the pause after which a job that runs went on, nil if that is not when it is said to have started: its broker reports one thing
// of it, and that it runs again takes the place of that it had begun.
func wentOn(j *api.Job) *api.Pause {
	const about = 2 * time.Second
	if len(j.Pauses) == 0 || j.StartedAt == 0 || j.State.Final() {
		return nil
	}
	p := &j.Pauses[len(j.Pauses)-1]
	if p.Mode == job.Suspend && p.To != 0 && p.At == j.Executor && j.StartedAt.Time().Sub(p.To.Time()).Abs() < about {
		return p
	}
	return nil
}

// shorten cuts a text to n characters, the last of which then says so.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
