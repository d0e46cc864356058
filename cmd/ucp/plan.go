package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/plan"
)

const planHelp = `Many jobs in one file, which read of one another. A plan is YAML (docs/plans.md):

  jobs:
    detect:
      module: quake.wasm                # files are relative to the plan
      args: [-report, report.json, quake.csv]
      inputs: {quake.csv: today.csv}
      outputs: [report.json]
    count:
      module: words.wasm
      stdin: job:detect/out/report.json # runs after detect

or an execution plan of REC in TOML, as it is. All of it is checked before anything is submitted,
and all mistakes are told, each with its line. The jobs are called PLAN.JOB and have the labels
plan=PLAN and plan-job=JOB, by which every broker knows them.`

// planCommand is `ucp plan`.
func (c *cli) planCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "plan", Short: "Run many jobs that read of one another, from one file", Long: planHelp})
	g.AddCommand(c.planRunCommand(), c.planCheckCommand(), c.planShowCommand(), c.planGetCommand(), c.planListCommand(), c.planWaitCommand(), c.planResultCommand(),
		c.planRetryCommand(), c.planCancelCommand())
	return g
}

// planFile is a plan that was read from a file of this machine.
type planFile struct {
	*plan.Plan
	dir string // what its files are relative to
}

// planFiles are how files with plans may end, for completions.
var planFiles = []string{"yaml", "yml", "json", "toml"}

func completePlanFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return planFiles, cobra.ShellCompDirectiveFilterFileExt
}

// readPlan reads and checks a plan and, as far as that is quick, its files. Its error names all that is wrong.
func (c *cli) readPlan(path string, id job.ID) (*planFile, error) {
	text, name, dir, err := c.planText(path)
	if err != nil {
		return nil, err
	}
	f := &planFile{dir: dir}
	f.Plan, err = plan.Read(plan.Source{Name: name, Text: text, ID: id, Lines: func(path string) ([]string, error) {
		b, err := os.ReadFile(f.path(path))
		if err != nil {
			return nil, err
		}
		var out []string
		for line := range strings.Lines(strings.TrimPrefix(string(b), string(byteOrderMark))) {
			out = append(out, strings.TrimRight(line, "\r\n"))
		}
		return out, nil
	}})
	m := &plan.Mistakes{File: name}
	if err != nil && !errors.As(err, &m) {
		return nil, err
	}
	f.checkFiles(m)
	if err := m.Err(); err != nil {
		return nil, fmt.Errorf("%s has %s:\n%w", name, counted(len(m.List), "mistake", "mistakes"), err)
	}
	return f, nil
}

func (c *cli) planText(path string) (text []byte, name, dir string, err error) {
	from, name, dir := c.in, "stdin", "."
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, "", "", fmt.Errorf("the plan: %w", err)
		}
		defer f.Close()
		from, name, dir = f, path, filepath.Dir(path)
	}
	text, err = io.ReadAll(io.LimitReader(from, plan.MaxText+1))
	if err != nil {
		err = fmt.Errorf("the plan: %w", err)
	}
	return text, name, dir, err
}

// path is where a file of the plan is.
func (f *planFile) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.dir, filepath.FromSlash(name))
}

// checkFiles says which files of a plan are not there, or not what they must be.
func (f *planFile) checkFiles(m *plan.Mistakes) {
	type key struct {
		path              string
		module, directory bool
	}
	known := map[key]string{}
	for _, j := range f.Jobs {
		for i := range j.Files {
			x := &j.Files[i]
			k := key{f.path(x.Path), x.Field == plan.Module, x.Directory()}
			says, tried := known[k]
			if !tried {
				if err := checkPlanFile(k.path, k.module, k.directory); err != nil {
					says = err.Error()
				}
				known[k] = says
			}
			if says != "" {
				m.Add(x.Line, j.Name, "%s: %s", x.What(), says)
			}
		}
	}
}

func checkPlanFile(path string, module, directory bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no file %s", path)
	case err != nil:
		return err
	case directory && !info.IsDir():
		return fmt.Errorf("%s is no directory; a file has a path without a slash at its end", path)
	case directory:
		return nil
	case info.IsDir():
		return fmt.Errorf("%s is a directory, where a file is wanted; an input that is a directory has a slash at the end of its path in the job", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", path)
	case info.Size() > job.MaxBlob:
		return fmt.Errorf("%s has %s, at most %s are allowed", path, humanBytes(info.Size()), humanBytes(job.MaxBlob))
	case module:
		return checkModule(path, fileContent(path, info.Size()), "a native program is named by command")
	}
	return nil
}

// planID checks the ID of a plan that a person gave, or makes one.
func planID(id string) (job.ID, error) {
	switch {
	case id == "":
		return api.NewJobID(), nil
	case !plan.ValidID(id):
		return "", fmt.Errorf("%.80q is no ID of a plan: use letters, digits, _ and -, at most 64, the first a letter or digit", id)
	}
	return job.ID(id), nil
}

// planArg wants the ID of a plan, and takes names of its jobs if some is true.
func planArg(some bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		check := exactArgs("the ID of a plan")
		if some {
			check = someArgs("the ID of a plan")
		}
		if err := check(cmd, args); err != nil {
			return err
		}
		_, err := planID(args[0])
		return err
	}
}

// planSelection chooses all jobs of a plan.
func planSelection(id string) *selection {
	return &selection{labels: []string{plan.LabelPlan + "=" + id}}
}

// planStanding is how a plan stands, as far as the broker that was asked knows.
type planStanding struct {
	id     job.ID
	size   int // how many jobs it has
	latest []plan.Known
	all    map[job.ID]api.Job
}

// lacking is how many jobs of it the broker does not know.
func (s *planStanding) lacking() int { return max(s.size-len(s.latest), 0) }

// findPlan asks how a plan stands.
func (c *cli) findPlan(ctx context.Context, client *api.Client, id string) (*planStanding, error) {
	o, err := planSelection(id).options()
	if err != nil {
		return nil, err
	}
	l, err := listJobs(ctx, client, o, 0)
	if err != nil {
		return nil, err
	}
	s := &planStanding{id: job.ID(id), all: map[job.ID]api.Job{}}
	var known []plan.Known
	for _, j := range l.Jobs {
		s.all[j.ID] = j
		known = append(known, plan.Known{ID: j.ID, State: j.State})
	}
	if s.latest = plan.Latest(s.id, known); len(s.latest) == 0 {
		return nil, fmt.Errorf("the broker that was asked knows of no plan %s; `ucp plan list` shows those that it knows", id)
	}
	one, err := client.Job(ctx, string(s.latest[0].ID), 0)
	if err != nil {
		return nil, err
	}
	s.size = plan.Size([]plan.Known{{Spec: one.Spec}})
	return s, nil
}

// settled asks how a plan stands once the broker knows all of its jobs, and gives up after a while.
func (c *cli) settled(ctx context.Context, client *api.Client, id string) (*planStanding, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, settlesWithin, fmt.Errorf("they have not all come to the broker that was asked after %v; were they all submitted, ask another one, else `ucp plan run FILE --id %s` submits the others", settlesWithin, id))
	defer cancel()
	return c.wholePlan(ctx, client, id)
}

// settlesWithin is how long it takes at most, where all is well, until a broker knows what another one has taken.
const settlesWithin = 10 * time.Second

// warnOfLacking says that a broker does not know all jobs of a plan.
func (c *cli) warnOfLacking(s *planStanding) {
	if n := s.lacking(); n > 0 {
		fmt.Fprintf(c.err, "ucp: plan %s: the broker that was asked knows %d of its %d jobs\n", s.id, len(s.latest), s.size)
	}
}

// specs asks for the specs of the latest runs.
func (s *planStanding) specs(ctx context.Context, client *api.Client) error {
	get := func(ctx context.Context, i int) (api.Job, error) { return client.Job(ctx, string(s.latest[i].ID), 0) }
	return pipelined(ctx, len(s.latest), atOnce, get, func(i int, j api.Job, err error) error {
		s.latest[i].Spec, s.latest[i].State = j.Spec, cmp.Or(j.State, s.latest[i].State)
		return err
	})
}

// planSettles is how often a broker is asked again that does not know all jobs of a plan yet.
const planSettles = 200 * time.Millisecond

// wholePlan asks how a plan stands until the broker knows all of its jobs.
func (c *cli) wholePlan(ctx context.Context, client *api.Client, id string) (*planStanding, error) {
	for said := false; ; said = true {
		s, err := c.findPlan(ctx, client, id)
		switch {
		case ctx.Err() != nil:
		case err != nil || s.lacking() == 0:
			return s, err
		case !said:
			c.warnOfLacking(s)
		}
		if api.Sleep(ctx, planSettles) != nil {
			return nil, fmt.Errorf("waiting for all jobs of plan %s: %w", id, context.Cause(ctx))
		}
	}
}

// completePlans offers the IDs of the newest plans.
func (c *cli) completePlans() cobra.CompletionFunc {
	return c.offer(false, inOrder, func(ctx context.Context, client *api.Client) (out []string, err error) {
		l, err := client.Jobs(ctx, api.ListOptions{Labels: []string{plan.LabelPlan}, Limit: 200})
		for _, j := range l.Jobs {
			if id, _, _, ok := plan.Split(j.ID); ok && !slices.Contains(out, string(id)) {
				out = append(out, string(id))
			}
		}
		return out, err
	})
}
