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
	"github.com/urban-compute/ucp/plan"
)

// planFlags are those of verbs that run a plan.
type planFlags struct {
	id, to        string
	detach, retry bool
	patience      patience
	ackWithin     time.Duration
	token         string
}

func (f *planFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.to, "to", ".", "`DIR` for what the jobs leave, of each in a directory with its name")
	fs.BoolVar(&f.detach, "detach", false, "do not wait: print the plan's ID")
	fs.DurationVar(&f.patience.total, "timeout", 0, "give up waiting after this time, with exit code 1; the jobs go on (0: never)")
	registerSubmission(fs, nil, &f.ackWithin, &f.token)
	must(cmd.MarkFlagDirname("to"))
}

const planRunHelp = `Checks a plan, sends its files as far as the broker lacks them, submits all of its jobs as
one batch, waits until they have ended, fetches what each leaves into a directory with
its name below --to, and prints how each has ended. The exit code is 0 when all have succeeded,
else 1.

Said again with the same --id it submits nothing twice: it waits for the jobs that are
there. With --retry what has failed runs once more, as this file has it now, and all that
comes after it; what has succeeded stays.

Of a job of REC's plans the results are an archive, DIR/JOB_result.zip, and each of its named
results is a file, DIR/NAME, a directory as a zip.`

// planRunCommand is `ucp plan run`.
func (c *cli) planRunCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:               "run FILE|-",
		Short:             "Run the jobs of a plan and wait for their results",
		Long:              planRunHelp,
		Example:           "  ucp plan run quake.yaml --to results\n  ucp plan run execution_plan_twice.toml --to results\n  ucp plan run quake.yaml --id quake-7 --detach\n  ucp plan run quake.yaml --id quake-7 --retry",
		Args:              exactArgs("the file of a plan, or - for stdin"),
		ValidArgsFunction: completePlanFiles,
	}
	cmd.Flags().StringVar(&f.id, "id", "", "`ID` of the plan; running the same again is the same plan (default: a new one)")
	cmd.Flags().BoolVar(&f.retry, "retry", false, "with --id: run what has failed once more, as the file has it now")
	f.register(cmd)
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		if f.retry && f.id == "" {
			return errors.New("--retry is of a plan that has run: name it with --id")
		}
		id, err := planID(f.id)
		if err != nil {
			return fmt.Errorf("--id: %w", err)
		}
		p, err := c.readPlan(args[0], id)
		if err != nil {
			return err
		}
		ctx, stop := c.interruptible(ctx)
		defer stop()
		var known []plan.Known
		if f.retry {
			s, err := c.findPlan(ctx, client, f.id)
			if err != nil {
				return err
			}
			c.warnOfLacking(s) // what is not known here is submitted as it was: it is the same job then
			known = s.latest
		}
		if !f.retry {
			return c.runPlan(ctx, client, &f, p, firstRuns(p.Plan), func(name string) job.ID { return plan.JobID(id, name, 1) })
		}
		return c.retryPlan(ctx, client, &f, p, known)
	})
	return cmd
}

// firstRuns are all jobs of a plan, to be run for the first time.
func firstRuns(p *plan.Plan) (out []plan.Again) {
	for _, j := range p.Jobs {
		out = append(out, plan.Again{Job: j, ID: plan.JobID(p.ID, j.Name, 1), Run: 1})
	}
	return out
}

const planRetryHelp = `Runs what has failed of a plan once more: the jobs that have ended and not succeeded, and all that
run after one of these, as they were submitted before; no file of the plan is needed. What has succeeded
stays, and is read as before. A job's next run has an ID of its own, PLAN.JOB.r2, r3 and so
on; all other verbs go by the latest run. Then it waits, as "ucp plan run" does. To change the jobs
first, change the file and say "ucp plan run FILE --id PLAN --retry".`

// planRetryCommand is `ucp plan retry`.
func (c *cli) planRetryCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:               "retry ID",
		Short:             "Run once more what has failed of a plan",
		Long:              planRetryHelp,
		Example:           "  ucp plan retry quake-7 --to results\n  ucp plan retry quake-7 --detach",
		Args:              planArg(false),
		ValidArgsFunction: c.completePlans(),
	}
	f.register(cmd)
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		ctx, stop := c.interruptible(ctx)
		defer stop()
		s, err := c.settled(ctx, client, args[0])
		if err != nil {
			return err
		}
		if err := s.specs(ctx, client); err != nil {
			return err
		}
		for _, k := range s.latest {
			if k.Spec == nil {
				return fmt.Errorf("the spec of job %s is not kept any more, since it ended too long ago: run the rest from the file, with `ucp plan run FILE --id %s --retry`", k.ID, s.id)
			}
		}
		return c.retryPlan(ctx, client, &f, &planFile{Plan: plan.FromJobs(s.id, s.latest)}, s.latest)
	})
	return cmd
}

// retryPlan runs once more what has failed.
func (c *cli) retryPlan(ctx context.Context, client *api.Client, f *planFlags, p *planFile, known []plan.Known) error {
	again, id, err := p.Retry(known)
	if err != nil {
		return err
	}
	if len(again) == 0 {
		return fmt.Errorf("nothing of plan %s has failed, as far as is known; `ucp plan get %s` shows how it stands", p.ID, p.ID)
	}
	return c.runPlan(ctx, client, f, p, again, id)
}

// runPlan submits jobs of a plan, waits for them, and fetches what they leave.
func (c *cli) runPlan(ctx context.Context, client *api.Client, f *planFlags, p *planFile, runs []plan.Again, id func(string) job.ID) error {
	if err := c.submitPlan(ctx, client, f, p, runs, id); err != nil {
		if errors.Is(err, errInterrupted) {
			return fmt.Errorf("interrupted; jobs of plan %s that were taken before go on: end them with `ucp plan cancel %[1]s`", p.ID)
		}
		return err
	}
	if f.detach {
		return c.show(map[string]any{"plan": p.ID, "jobs": len(runs)}, func(w io.Writer) { row(w, p.ID) })
	}
	fmt.Fprintf(c.err, "ucp: plan %s: %s\n", p.ID, counted(len(runs), "job is submitted", "jobs are submitted"))
	var ids []string
	for _, r := range runs {
		ids = append(ids, string(r.ID))
	}
	return c.awaitPlan(ctx, client, p.ID, ids, f.patience, func(ctx context.Context, j *api.Job) error {
		_, err := c.fetchPlanJob(ctx, client, j, f.to)
		return err
	})
}

// submitPlan sends the files of jobs, and then all jobs as one batch. Where a broker refuses one, all are taken back.
func (c *cli) submitPlan(ctx context.Context, client *api.Client, f *planFlags, p *planFile, runs []plan.Again, id func(string) job.ID) error {
	bad, created, err := c.tryPlan(ctx, client, f, p, runs, id)
	if err == nil && bad.lacking { // another broker is asked now than the one that has the files
		bad, created, err = c.tryPlan(ctx, client, f, p, runs, id)
	}
	if err != nil || len(bad.texts) == 0 {
		return err
	}
	taken := 0
	for _, id := range created {
		if _, err := client.Cancel(ctx, id); err == nil {
			taken++
		}
	}
	what := "jobs of plan " + string(p.ID) + " were refused"
	if taken > 0 {
		what += fmt.Sprintf(", and the %s that was taken before are cancelled", counted(taken, "job", "jobs"))
	}
	return bad.err(what + ":")
}

// refusals are what a broker said of the jobs that it did not take.
type refusals struct {
	failures
	lacking bool // it lacks files
}

// tryPlan sends the files and the jobs, and returns which jobs were refused, and which were taken that were not known before.
func (c *cli) tryPlan(ctx context.Context, client *api.Client, f *planFlags, p *planFile, runs []plan.Again, id func(string) job.ID) (bad *refusals, created []string, err error) {
	jobs, err := c.sendPlan(ctx, client, p, runs, id)
	if err != nil {
		return nil, nil, err
	}
	batches, err := inBatches(jobs, api.MaxBatch)
	if err != nil {
		return nil, nil, err
	}
	bad = &refusals{failures: failures{of: len(jobs)}}
	few, wanted, taken, warned := 0, 0, 0, map[string]bool{}
	for _, batch := range batches {
		lines, _, err := client.SubmitBatch(ctx, batch, api.SubmitOptions{Timeout: f.ackWithin, Token: f.token})
		if err != nil {
			return nil, nil, fmt.Errorf("submitting the plan: %w; %d of %d jobs were taken before, and perhaps more: say the same again with `--id %s` to submit the others", err, taken, len(jobs), p.ID)
		}
		for _, l := range lines {
			if l.Error != nil {
				bad.add("%s: %v", l.ID, l.Error)
				bad.lacking = bad.lacking || l.Error.Code == api.CodeMissingBlobs
				continue
			}
			taken++
			if l.Created {
				created = append(created, string(l.ID))
			}
			if l.Degraded && (few == 0 || l.Replicas < few) {
				few, wanted = l.Replicas, l.Wanted
			}
			for _, text := range l.Warnings {
				if !warned[text] {
					warned[text] = true
					c.warn(l.ID, []string{text})
				}
			}
		}
	}
	if few > 0 {
		fmt.Fprintf(c.err, "ucp: jobs of plan %s are saved on %s\n", p.ID, fewCopies(few, wanted))
	}
	return bad, created, nil
}

// sendPlan sends the files of jobs, each once, and returns the jobs as a broker takes them.
func (c *cli) sendPlan(ctx context.Context, client *api.Client, p *planFile, runs []plan.Again, id func(string) job.ID) (jobs []api.BatchJob, err error) {
	var files []*plan.File
	at := map[string]int{} // in files, by path
	key := func(f *plan.File) string {
		if f.Directory() {
			return p.path(f.Path) + "/"
		}
		return p.path(f.Path)
	}
	runs = p.Ordered(runs)
	for _, r := range runs {
		for i := range r.Job.Files {
			f := &r.Job.Files[i]
			if _, known := at[key(f)]; !known {
				at[key(f)] = len(files)
				files = append(files, f)
			}
		}
	}
	sums := make([]job.Digest, len(files))
	send := func(ctx context.Context, i int) (job.Digest, error) {
		path := p.path(files[i].Path)
		if files[i].Directory() {
			return c.sendTree(ctx, client, files[i].What(), path)
		}
		return c.upload(ctx, client, path, fileContent(path, job.MaxBlob+1))
	}
	const filesAtOnce = 4
	err = pipelined(ctx, len(files), filesAtOnce, send, func(i int, d job.Digest, err error) error {
		sums[i] = d
		if err != nil {
			return fmt.Errorf("%w; no job was submitted", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := plan.NewIDs(id)
	for _, r := range runs {
		spec, err := p.Final(r.Job, func(f *plan.File) job.Digest { return sums[at[key(f)]] }, ids, r.Run)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w; no job was submitted", r.Job.Name, err)
		}
		jobs = append(jobs, api.BatchJob{ID: r.ID, Spec: spec})
	}
	return jobs, nil
}

// planResult is how a plan has ended, in JSON.
type planResult struct {
	Plan job.ID    `json:"plan"`
	Jobs []planJob `json:"jobs"`
}

// awaitPlan waits until jobs of a plan have ended, says of each how, and hands it over. Its error is that of `job wait` of several.
func (c *cli) awaitPlan(ctx context.Context, client *api.Client, id job.ID, ids []string, p patience, each func(context.Context, *api.Job) error) error {
	count := func(ctx context.Context) (map[job.State]int, error) {
		return client.CountJobs(ctx, api.ListOptions{Labels: []string{plan.LabelPlan + "=" + string(id)}})
	}
	out, bad := planResult{Plan: id, Jobs: []planJob{}}, failures{of: len(ids)}
	var unfetched error
	width := 0 // of the names: the rows come one by one
	for _, i := range ids {
		_, name, run, _ := plan.Split(job.ID(i))
		if width = max(width, len(name)); run > 1 {
			count = nil // the label is that of earlier runs, too
		}
	}
	err := c.awaitMany(ctx, client, ids, p, count, func(j api.Job) error {
		k := planJobOf(&j)
		if j.State != job.StateSucceeded {
			bad.add("%s %s", k.Name, howEnded(&j))
		}
		if each != nil {
			if err := each(ctx, &j); err != nil && unfetched == nil {
				unfetched = err
			}
		}
		out.Jobs = append(out.Jobs, k)
		if c.format == formatJSON {
			return nil
		}
		return c.show(nil, func(w io.Writer) { row(w, fmt.Sprintf("%-*s", width, k.Name), j.State) })
	})
	if c.format == formatJSON {
		err = errors.Join(c.show(out, nil), err)
	}
	switch {
	case errors.Is(err, errInterrupted):
		return fmt.Errorf("interrupted; the jobs of plan %s go on: follow them with `ucp plan wait %[1]s`, or end them with `ucp plan cancel %[1]s`", id)
	case err != nil:
		return err
	}
	if err := bad.err("jobs of plan " + string(id) + " have not succeeded:"); err != nil {
		return fmt.Errorf("%w\n  run them once more with `ucp plan retry %s`", err, id)
	}
	return unfetched
}

// counted writes a number of things.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
