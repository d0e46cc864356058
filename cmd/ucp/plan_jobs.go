package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/plan"
)

// planJob is a job of a plan, in JSON.
type planJob struct {
	Name     string     `json:"name"`
	ID       job.ID     `json:"id"`
	Run      int        `json:"run"`
	State    job.State  `json:"state"`
	Silent   bool       `json:"silent,omitempty"` // its executor does not answer: nobody here knows whether it is still so
	Executor string     `json:"executor,omitempty"`
	ExitCode *int       `json:"exit_code,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Why      string     `json:"why,omitempty"`
	Finished clock.Time `json:"finished_at,omitempty"`
}

func planJobOf(j *api.Job) planJob {
	_, name, run, _ := plan.Split(j.ID)
	return planJob{Name: name, ID: j.ID, Run: run, State: j.State, Silent: j.Silent, Executor: j.Executor, ExitCode: j.ExitCode, Reason: j.Reason, Why: j.Why, Finished: j.FinishedAt}
}

// stateText is the state, with a question mark where its executor does not answer.
func (k *planJob) stateText() string {
	if k.Silent {
		return string(k.State) + "?"
	}
	return string(k.State)
}

// note says of a job why it waits, or ended so.
func (k *planJob) note() string {
	if k.Reason != "" {
		return k.Reason
	}
	return k.Why
}

// planView is how a plan stands, in JSON.
type planView struct {
	Plan   job.ID            `json:"plan"`
	Size   int               `json:"size"`  // how many jobs it has
	Known  int               `json:"known"` // of which the broker knows so many
	Counts map[job.State]int `json:"counts"`
	Jobs   []planJob         `json:"jobs"`
}

func (s *planStanding) view() *planView {
	v := &planView{Plan: s.id, Size: s.size, Known: len(s.latest), Counts: map[job.State]int{}, Jobs: []planJob{}}
	for _, k := range s.latest {
		j := s.all[k.ID]
		v.Counts[j.State]++
		v.Jobs = append(v.Jobs, planJobOf(&j))
	}
	return v
}

// planGetCommand is `ucp plan get`.
func (c *cli) planGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show how the jobs of a plan stand",
		Long: `Shows how the jobs of a plan stand, each by its latest run, and why those wait or have failed
that do. Any broker can be asked; one that does not know all of them yet says so.`,
		Example:           "  ucp plan get quake-7\n  ucp plan get quake-7 -o json",
		Args:              planArg(false),
		ValidArgsFunction: c.completePlans(),
	}
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, args []string) error {
		s, err := c.findPlan(ctx, client, args[0])
		if err != nil {
			return err
		}
		v := s.view()
		c.warnOfLacking(s)
		return c.show(v, func(w io.Writer) {
			row(w, "JOB", "STATE", "AT", "ID", "NOTE")
			for i := range v.Jobs {
				k := &v.Jobs[i]
				row(w, k.Name, k.stateText(), dash(k.Executor), k.ID, k.note())
			}
		})
	})
	return cmd
}

// planListCommand is `ucp plan list`.
func (c *cli) planListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List plans, newest first",
		Long:    "Lists the plans of which the broker knows jobs, the newest first, and how their jobs stand.",
		Example: "  ucp plan list\n  ucp plan list -o json",
		Args:    exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, _ []string) error {
		l, err := listJobs(ctx, client, api.ListOptions{Labels: []string{plan.LabelPlan}}, 0)
		if err != nil {
			return err
		}
		of := map[job.ID][]plan.Known{}
		views := []*planView{}
		for _, j := range l.Jobs {
			id, _, _, ok := plan.Split(j.ID)
			if !ok {
				continue
			}
			if of[id] == nil {
				views = append(views, &planView{Plan: id})
			}
			of[id] = append(of[id], plan.Known{ID: j.ID, State: j.State})
		}
		type listed struct {
			Plan   job.ID            `json:"plan"`
			Known  int               `json:"known"`
			Counts map[job.State]int `json:"counts"`
		}
		out := []listed{}
		for _, v := range views {
			latest := plan.Latest(v.Plan, of[v.Plan])
			x := listed{v.Plan, len(latest), map[job.State]int{}}
			for _, k := range latest {
				x.Counts[k.State]++
			}
			out = append(out, x)
		}
		return c.show(map[string]any{"plans": out}, func(w io.Writer) {
			if len(out) == 0 {
				row(w, "no plan is known here")
				return
			}
			row(w, "PLAN", "JOBS")
			for _, x := range out {
				row(w, x.Plan, countsText(x.Counts))
			}
		})
	})
	return cmd
}

// planWaitCommand is `ucp plan wait`.
func (c *cli) planWaitCommand() *cobra.Command {
	var p patience
	cmd := &cobra.Command{
		Use:   "wait ID",
		Short: "Wait until all jobs of a plan have ended",
		Long: `Waits until all jobs of a plan have ended, each by its latest run, and prints the state of each
in the order of their names. The exit code is that of "ucp job wait" of several jobs: 0 when all have succeeded,
else 1. When the broker stops answering others are asked.`,
		Example:           "  ucp plan wait quake-7\n  ucp plan wait quake-7 --timeout 10m",
		Args:              planArg(false),
		ValidArgsFunction: c.completePlans(),
	}
	cmd.Flags().DurationVar(&p.total, "timeout", 0, "give up waiting after this time, with exit code 1; the jobs go on (0: never)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		ctx, stop := c.interruptible(ctx)
		defer stop()
		whole, cancel := ctx, func() {}
		if p.total > 0 {
			whole, cancel = context.WithTimeoutCause(ctx, p.total, fmt.Errorf("they have not all come to the broker that was asked after %v", p.total))
		}
		defer cancel()
		s, err := c.wholePlan(whole, client, args[0])
		if err != nil {
			return err
		}
		var ids []string
		for _, k := range s.latest {
			ids = append(ids, string(k.ID))
		}
		return c.awaitPlan(ctx, client, s.id, ids, p, nil)
	})
	return cmd
}

// planCancelCommand is `ucp plan cancel`.
func (c *cli) planCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "End the jobs of a plan",
		Long:              "Ends all jobs of a plan that go on, wherever they wait or run, and prints how each of these stands.",
		Example:           "  ucp plan cancel quake-7",
		Args:              planArg(false),
		ValidArgsFunction: c.completePlans(),
	}
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		s, err := c.findPlan(ctx, client, args[0])
		if err != nil {
			return err
		}
		c.warnOfLacking(s)
		if !slices.ContainsFunc(s.latest, func(k plan.Known) bool { return !k.State.Final() }) {
			return fmt.Errorf("all jobs of plan %s have ended; `ucp plan get %[1]s` shows how", s.id)
		}
		return c.cancelMany(ctx, client, planSelection(args[0]), nil)
	})
	return cmd
}

// planResultCommand is `ucp plan result`.
func (c *cli) planResultCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "result ID [JOB...]",
		Short: "Fetch what the jobs of a plan left",
		Long: `Fetches what the jobs of a plan left, or those that are named (of an array its name means
all), each by its latest run, into a directory with the job's name below --to, as "ucp job result"
does. Jobs that go on are left out, which is an error when all that can be fetched was.

Of a job of REC's plans the results are an archive, DIR/JOB_result.zip, and each of its named
results is a file, DIR/NAME, a directory as a zip.`,
		Example:           "  ucp plan result quake-7 --to results\n  ucp plan result quake-7 detect",
		Args:              planArg(true),
		ValidArgsFunction: c.completePlans(),
	}
	cmd.Flags().StringVar(&to, "to", ".", "`DIR` to write to; made when it is not there")
	must(cmd.MarkFlagDirname("to"))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		s, err := c.findPlan(ctx, client, args[0])
		if err != nil {
			return err
		}
		c.warnOfLacking(s)
		chosen, err := s.among(args[1:])
		if err != nil {
			return err
		}
		return c.fetchPlan(ctx, client, s.id, chosen, to)
	})
	return cmd
}

// among chooses jobs by their names, or those of their arrays; without names all.
func (s *planStanding) among(names []string) (out []plan.Known, err error) {
	if len(names) == 0 {
		return s.latest, nil
	}
	found := map[string]bool{}
	for _, k := range s.latest {
		_, name, _, _ := plan.Split(k.ID)
		for _, n := range names {
			if n == name || n == plan.Group(name) {
				found[n] = true
				if !slices.ContainsFunc(out, func(o plan.Known) bool { return o.ID == k.ID }) {
					out = append(out, k)
				}
			}
		}
	}
	for _, n := range names {
		if !found[n] {
			return nil, fmt.Errorf("the broker that was asked knows of no job %.80q of plan %s; `ucp plan get %[2]s` shows those that it knows", n, s.id)
		}
	}
	return out, nil
}

// fetchPlan fetches what jobs of a plan left, as far as that is possible.
func (c *cli) fetchPlan(ctx context.Context, client *api.Client, id job.ID, jobs []plan.Known, to string) error {
	out := []fetched{}
	bad := failures{of: len(jobs)}
	get := func(ctx context.Context, i int) (fetched, error) {
		j, err := client.Job(ctx, string(jobs[i].ID), endWithin)
		if err != nil {
			return fetched{}, err
		}
		return c.fetchPlanJob(ctx, client, &j, to)
	}
	err := pipelined(ctx, len(jobs), atOnce, get, func(_ int, r fetched, err error) error {
		if err != nil {
			bad.add("%v", err)
			return context.Cause(ctx)
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		return err
	}
	err = c.show(map[string]any{"plan": id, "jobs": out}, func(w io.Writer) {
		for _, r := range out {
			for _, f := range r.Files {
				row(w, filepath.Join(r.Dir, f))
			}
		}
	})
	if err != nil {
		return err
	}
	return bad.err("jobs of plan " + string(id) + " have no result that could be fetched:")
}
