package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/job"
)

// Known is a job of a plan as a broker knows it.
type Known struct {
	ID    job.ID
	State job.State
	Spec  *job.Spec // nil where only its state was asked for
}

// Latest keeps of each job of a plan its latest run, in the order of their names; numbers in them count as such.
func Latest(id job.ID, known []Known) (out []Known) {
	runs := map[string]int{}
	at := map[string]int{}
	for _, k := range known {
		plan, name, run, ok := Split(k.ID)
		if !ok || plan != id || run < runs[name] {
			continue
		}
		if _, before := runs[name]; !before {
			at[name] = len(out)
			out = append(out, k)
		}
		runs[name], out[at[name]] = run, k
	}
	slices.SortFunc(out, func(a, b Known) int {
		_, one, _, _ := Split(a.ID)
		_, other, _, _ := Split(b.ID)
		return compareNames(one, other)
	})
	return out
}

// compareNames orders names as people do: tile.9 before tile.10.
func compareNames(a, b string) int { return cmp.Or(natural(a, b), cmp.Compare(a, b)) }

func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			n, m := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if c := cmp.Or(cmp.Compare(len(n), len(m)), cmp.Compare(n, m)); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(a, b)
}

func digits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}

// Size is how many jobs a plan has, by the label of any of them whose spec is known; 0 where none is.
func Size(known []Known) int {
	for _, k := range known {
		if k.Spec != nil {
			if n, err := strconv.Atoi(k.Spec.Labels[LabelSize]); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

// FromJobs makes a plan of what brokers know of its jobs, by their latest runs. Those without a spec are left out.
func FromJobs(id job.ID, known []Known) *Plan {
	p := &Plan{ID: id}
	names := NewIDs(func(other string) job.ID {
		if of, name, _, ok := Split(job.ID(other)); ok && of == id {
			return job.ID(name)
		}
		return job.ID(other)
	})
	for _, k := range Latest(id, known) {
		if k.Spec == nil {
			continue
		}
		_, name, _, _ := Split(k.ID)
		s := withNames(*k.Spec, names)
		p.add(&Job{Name: name, Group: Group(name), Spec: s})
	}
	return p
}

// Again is a job of a plan that is to run once more.
type Again struct {
	Job *Job
	ID  job.ID
	Run int
}

// Retry chooses what of a plan runs once more (decision 0254): the jobs that have ended and not succeeded, those that are not known,
// and all that run after one of these, since they would read something else now. What has succeeded besides stays as it is. Id says under which ID each
// job of the plan runs then. It is an error while one that would run once more goes on.
func (p *Plan) Retry(known []Known) (again []Again, id func(name string) job.ID, err error) {
	state, run := map[string]job.State{}, map[string]int{}
	for _, k := range Latest(p.ID, known) {
		_, name, n, _ := Split(k.ID)
		state[name], run[name] = k.State, n
	}
	wanted := map[string]bool{}
	for _, j := range p.Jobs {
		if s := state[j.Name]; s == "" || s.Final() && s != job.StateSucceeded {
			wanted[j.Name] = true
		}
	}
	after := p.followers()
	var queue []string
	for _, j := range p.Jobs {
		if wanted[j.Name] {
			queue = append(queue, j.Name)
		}
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, next := range after(name) {
			if !wanted[next] {
				wanted[next] = true
				queue = append(queue, next)
			}
		}
	}
	ids := map[string]job.ID{}
	for _, j := range p.Jobs {
		n := max(run[j.Name], 1)
		if wanted[j.Name] {
			if s := state[j.Name]; s != "" {
				if !s.Final() {
					return nil, nil, fmt.Errorf("job %s is %s, and runs after one that is to run once more: wait until it has ended, or end it with `ucp job cancel %s`", j.Name, s, JobID(p.ID, j.Name, n))
				}
				n++
			}
			again = append(again, Again{j, JobID(p.ID, j.Name, n), n})
		}
		ids[j.Name] = JobID(p.ID, j.Name, n)
	}
	return again, func(name string) job.ID {
		if of, ok := ids[name]; ok {
			return of
		}
		return job.ID(name)
	}, nil
}

// followers says which jobs wait for one, by its name: those that wait for an array are named with the first of its jobs that is asked for, once.
func (p *Plan) followers() func(name string) []string {
	after, arrays := map[string][]string{}, map[string][]string{} // by job; and the arrays that a job belongs to and others wait for
	for _, j := range p.Jobs {
		for _, other := range j.Spec.After {
			if a, isArray := other.Array(); isArray && after[string(other)] == nil {
				for one := range a.IDs() {
					arrays[string(one)] = append(arrays[string(one)], string(other))
				}
			}
			after[string(other)] = append(after[string(other)], j.Name)
		}
	}
	return func(name string) []string {
		out := after[name]
		for _, array := range arrays[name] {
			out = append(slices.Clip(out), after[array]...)
			after[array] = nil
		}
		return out
	}
}
