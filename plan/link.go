package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// link checks what the jobs say of one another: that those they name are there and leave what is read of them, that none waits for
// itself, and that each is small enough as a broker gets it.
func (r *reader) link() {
	writers := r.plan.writers()
	for _, j := range r.plan.Jobs {
		if r.enough() {
			return
		}
		r.resolve(j)
		if name, named := j.Spec.ModuleName(); named && len(writers[name]) > 0 {
			r.mistakes.Add(j.where(Module), j.Name, "module: job %s writes data %s, and a module is what is there when the plan is submitted: let that job be done before, in a plan of its own", writers[name][0], name)
		}
	}
	r.cycles()
	for _, j := range r.plan.Jobs {
		r.measure(j)
	}
}

// resolve checks the jobs that a job names, and puts the elements of arrays in the place of their names.
func (r *reader) resolve(j *Job) {
	for _, s := range j.Spec.Sources() {
		r.checkSource(j, s)
	}
	var after []job.ID
	reads := map[job.ID]bool{} // told by what is read of them
	for _, s := range j.Spec.Sources() {
		reads[s.Job] = true
	}
	for i, other := range j.Spec.After {
		name := string(other)
		line := j.where("after", fmt.Sprint(i))
		switch elements := r.plan.arrays[name]; {
		case elements != nil && reads[other]:
		case len(elements) > mostAfter:
			after = append(after, r.whole(name)...)
		case elements != nil:
			for _, e := range elements {
				after = append(after, job.ID(e.Name))
			}
		case r.plan.named[name] == nil:
			if !reads[other] {
				r.mistakes.Add(line, j.Name, "after: %s", r.unknown(name))
			}
		case name == j.Name:
			r.mistakes.Add(line, j.Name, "it waits for itself")
		default:
			after = append(after, other)
		}
	}
	slices.Sort(after)
	if j.Spec.After = slices.Compact(after); len(j.Spec.After) > mostAfter {
		j.Spec.After = job.Arrays(j.Spec.After) // several small arrays
	}
	if len(j.Spec.After) > mostAfter {
		r.mistakes.Add(j.where("after"), j.Name, "it waits for %d jobs or arrays, %.40s and others, and a job may wait for at most %d: let jobs between them each gather some, or let fewer jobs do more",
			len(j.Spec.After), j.Spec.After[0], mostAfter)
	}
}

// whole names all jobs of an array in few entries: in one, unless their indices are many spans.
func (r *reader) whole(array string) []job.ID {
	if r.wholes[array] == nil {
		var names []job.ID
		for _, j := range r.plan.arrays[array] {
			names = append(names, job.ID(j.Name))
		}
		r.wholes[array] = job.Arrays(names)
	}
	return r.wholes[array]
}

// mostAfter is how many others, arrays among them, a job may wait for.
const mostAfter = 16

// unknown says that a plan has no job of that name.
func (r *reader) unknown(name string) string {
	if len(r.plan.arrays[Group(name)]) > 0 {
		return fmt.Sprintf("the array %s has no job %s", Group(name), name)
	}
	return fmt.Sprintf("the plan has no job %.80q%s", name, near(name, r.plan.Groups()))
}

// checkSource checks what a job reads of another one.
func (r *reader) checkSource(j *Job, s job.Source) {
	if _, isData := s.Job.Data(); isData {
		return // it waits until something is there; of a module the broker says so
	}
	field, line := Stdin, j.where(Stdin)
	for at, text := range j.Spec.Inputs {
		if text == s.String() {
			field, line = fmt.Sprintf("inputs[%q]", at), j.where(Input, at)
		}
	}
	other := r.plan.named[string(s.Job)]
	switch {
	case len(r.plan.arrays[string(s.Job)]) > 0:
		r.mistakes.Add(line, j.Name, "%s: %s is an array: name one of its jobs, such as %s", field, s.Job, r.plan.arrays[string(s.Job)][0].Name)
	case other == nil:
		r.mistakes.Add(line, j.Name, "%s: %s", field, r.unknown(string(s.Job)))
	case !other.refused && !other.leaves(s.Part):
		r.mistakes.Add(line, j.Name, "%s: job %s does not leave %s; it leaves %s", field, other.Name, s.Part, other.all())
	}
}

// leaves reports whether a job may leave what is read of it.
func (j *Job) leaves(part string) bool {
	if job.IsStream(part) {
		return true
	}
	path := strings.TrimPrefix(part, "out/")
	return slices.ContainsFunc(j.Spec.Outputs, func(o string) bool {
		return o == path || !job.IsDirectory(o) && !job.IsDirectory(path) && strings.HasPrefix(path, o+"/")
	})
}

// all lists what a job leaves.
func (j *Job) all() string {
	parts := []string{"stdout", "stderr"}
	for _, o := range j.Spec.Outputs {
		parts = append(parts, "out/"+o)
	}
	return strings.Join(parts, ", ")
}

// measure checks a job as a broker gets it, with the IDs of the plan's jobs.
func (r *reader) measure(j *Job) {
	if j.refused || len(j.Spec.After) > mostAfter {
		return
	}
	_, err := r.plan.Final(j, func(*File) job.Digest { return Unread }, r.ids, 1)
	if err != nil && label.ValidName(string(JobID(r.plan.ID, j.Name, 1))) { // otherwise that was told
		r.mistakes.Add(j.where(fieldOf(err)...), j.Name, "%s", says(err, ""))
	}
}

// cycles finds jobs that wait for one another: of each set of such jobs one way around, and of arrays that of one of their jobs.
func (r *reader) cycles() {
	told := map[string]bool{}
	r.plan.walk(func(*Job) {}, func(path []*Job) {
		var names, groups []string
		for _, j := range path {
			names, groups = append(names, j.Name), append(groups, j.Group)
		}
		slices.Sort(groups)
		which := strings.Join(slices.Compact(groups), " ")
		if told[which] {
			return
		}
		told[which] = true
		r.mistakes.Add(path[0].Line, path[0].Name, "jobs wait for one another: %s waits for %s", strings.Join(names, " waits for "), path[0].Name)
	})
}
