// Package plan reads plans: many jobs in one file that read of one another, written as YAML of ours or as an execution
// plan of REC in TOML. A plan is checked as a whole, and all mistakes are told at once, each with its line; what comes out are specs
// of jobs that any broker takes, so that brokers know nothing of plans but the labels of their jobs.
//
// The package is pure: it reads no file and asks nobody.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// The labels of a plan's jobs, by which every broker finds them.
const (
	LabelPlan = "plan"      // the ID of the plan
	LabelJob  = "plan-job"  // the name of the job in the plan, NAME or NAME.INDEX
	LabelSize = "plan-size" // how many jobs the plan has
	LabelRun  = "plan-run"  // which run of that job it is, from 2: the first has no such label
	arrayOf   = "array"     // as of `ucp run --array`
)

// MaxJobs is how many jobs a plan may have, each element of an array counted.
const MaxJobs = 100_000

// MaxText is how long the text of a plan may be, in bytes.
const MaxText = 8 << 20

// Plan is many jobs that belong together.
type Plan struct {
	ID   job.ID
	Jobs []*Job // in the order of the file, the elements of an array one after the other

	named  map[string]*Job
	arrays map[string][]*Job
}

// Job is one job of a plan.
type Job struct {
	Name  string // in the plan: NAME, or of an element of an array NAME.INDEX
	Group string // NAME
	Line  int    // of the file, from 1; 0 where it comes from no file

	// Spec has names of jobs of the plan where it will have their IDs, and Unread where it will have the digest of a file.
	Spec job.Spec
	// Files are what it needs of this machine.
	Files []File

	where   func(path ...string) int // the line of a field of the spec
	refused bool                     // its spec has mistakes
}

// Unread stands for the digest of a file that was not read yet.
const Unread job.Digest = "0000000000000000000000000000000000000000000000000000000000000000"

// The fields of a spec, beside inputs, that name a file.
const (
	Module = "module"
	Stdin  = "stdin"
)

// File is a file or directory of this machine that a job needs.
type File struct {
	Field string // Module, Stdin, or Input
	Input string // the path of an input in the job's directory; with a slash at its end it is a directory
	Path  string // as the plan says it, relative to where the plan is
	Line  int
}

// Input is the Field of files that are inputs.
const Input = "inputs"

// Directory reports whether a directory is meant.
func (f *File) Directory() bool { return f.Field == Input && job.IsDirectory(f.Input) }

// What says of people for what the file is.
func (f *File) What() string {
	if f.Field == Input {
		return fmt.Sprintf("inputs[%q]", f.Input)
	}
	return f.Field
}

// ValidID reports whether a plan may have this ID: that of a job, without a dot, since the names of its jobs stand behind one.
func ValidID(id string) bool { return label.ValidName(id) && !strings.Contains(id, ".") }

// JobID is the ID of a run of a job of a plan, by the plan's ID, the name of the job, and which run it is, from 1.
func JobID(plan job.ID, name string, run int) job.ID {
	id := string(plan) + "." + name
	if run > 1 {
		id += ".r" + strconv.Itoa(run)
	}
	return job.ID(id)
}

// Split is the inverse of [JobID]; ok is false where no plan's job has such an ID.
func Split(id job.ID) (plan job.ID, name string, run int, ok bool) {
	first, name, ok := strings.Cut(string(id), ".")
	run = 1
	if at := strings.LastIndex(name, ".r"); at > 0 {
		if n, err := strconv.Atoi(name[at+2:]); err == nil && n > 1 {
			name, run = name[:at], n
		}
	}
	return job.ID(first), name, run, ok && name != ""
}

// Group is the name of the array that a job belongs to, or its own.
func Group(name string) string {
	group, _, _ := strings.Cut(name, ".")
	return group
}

// add adds a job, and says whether there was none of that name.
func (p *Plan) add(j *Job) bool {
	if p.named == nil {
		p.named, p.arrays = map[string]*Job{}, map[string][]*Job{}
	}
	if p.named[j.Name] != nil {
		return false
	}
	p.Jobs, p.named[j.Name] = append(p.Jobs, j), j
	if j.Group != j.Name {
		p.arrays[j.Group] = append(p.arrays[j.Group], j)
	}
	return true
}

// Groups lists the names of jobs and arrays, in the order of the file.
func (p *Plan) Groups() (out []string) {
	for _, j := range p.Jobs {
		if len(out) == 0 || out[len(out)-1] != j.Group {
			out = append(out, j.Group)
		}
	}
	return out
}

// Final returns the spec of a job as a broker takes it. Digest says by which blob each of its files is known, ids under which
// ID each job of the plan runs, and run which run of the job it is.
func (p *Plan) Final(j *Job, digest func(*File) job.Digest, ids *IDs, run int) (job.Spec, error) {
	s := j.Spec
	s.Inputs, s.Labels = maps.Clone(s.Inputs), maps.Clone(s.Labels)
	for i := range j.Files {
		f := &j.Files[i]
		switch d := digest(f); f.Field {
		case Module:
			s.Module = d
		case Stdin:
			s.Stdin = d
		default:
			s.Inputs[f.Input] = string(d)
		}
	}
	s = withNames(s, ids)
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	s.Labels[LabelPlan], s.Labels[LabelJob], s.Labels[LabelSize] = string(p.ID), j.Name, strconv.Itoa(len(p.Jobs))
	if j.Group != j.Name {
		s.Labels[arrayOf] = string(JobID(p.ID, j.Group, 1))
	}
	delete(s.Labels, LabelRun)
	if run > 1 {
		s.Labels[LabelRun] = strconv.Itoa(run)
	}
	s.Submitter = "" // the broker writes it
	return s, s.Complete()
}

// withNames returns a spec with what ids say in the place of each job that it names.
func withNames(s job.Spec, ids *IDs) job.Spec {
	source := func(text string) string {
		rest, ok := strings.CutPrefix(text, "job:")
		if !ok {
			return text
		}
		other, part, _ := strings.Cut(rest, "/")
		return "job:" + string(ids.of(other)) + "/" + part
	}
	s.Stdin = job.Digest(source(string(s.Stdin)))
	if s.Inputs != nil {
		inputs := make(map[string]string, len(s.Inputs))
		for at, text := range s.Inputs {
			inputs[at] = source(text)
		}
		s.Inputs = inputs
	}
	s.After = ids.after(s.After)
	return s
}

// Mistake is something in a plan that is wrong.
type Mistake struct {
	Line int    // from 1; 0 where it is not of one line
	Job  string // the name of the job, or ""
	Text string
}

// Mistakes are all that is wrong with a plan, by line.
type Mistakes struct {
	File string // how the plan is called
	List []Mistake
}

// Error implements error: one line for each mistake, as compilers write it.
func (m *Mistakes) Error() string {
	var b strings.Builder
	for i, x := range m.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(m.File)
		if x.Line > 0 {
			fmt.Fprintf(&b, ":%d", x.Line)
		}
		b.WriteString(": ")
		if x.Job != "" {
			fmt.Fprintf(&b, "job %s: ", x.Job)
		}
		b.WriteString(x.Text)
	}
	return b.String()
}

// Add notes a mistake, unless the same was noted of that line: of the elements of an array most have the same.
func (m *Mistakes) Add(line int, name, format string, args ...any) {
	x := Mistake{line, Group(name), fmt.Sprintf(format, args...)}
	if !slices.Contains(m.List, x) {
		m.List = append(m.List, x)
	}
}

// Err returns the mistakes in the order of their lines; nil if there are none.
func (m *Mistakes) Err() error {
	if len(m.List) == 0 {
		return nil
	}
	slices.SortStableFunc(m.List, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
	return m
}
