package plan

import (
	"slices"

	"github.com/urban-compute/ucp/job"
)

// after lists the jobs of the plan after which a job runs, those of arrays one by one, without arrays that skip names.
func (p *Plan) after(j *Job, skip map[job.ID]bool) (out []*Job) {
	for _, entry := range j.Spec.After {
		a, isArray := entry.Array()
		switch {
		case isArray && skip[entry]:
		case isArray:
			for id := range a.IDs() {
				if other := p.named[string(id)]; other != nil {
					out = append(out, other)
				}
			}
		default:
			if other := p.named[string(entry)]; other != nil {
				out = append(out, other)
			}
		}
	}
	return out
}

// walk visits each job once: leave is called when it was for all after which it runs. Of jobs that wait for one another cycle is told one way around. An
// array is looked through once, however many wait for it.
func (p *Plan) walk(leave func(*Job), cycle func([]*Job)) {
	const (
		open = iota + 1
		done
	)
	type frame struct {
		job  *Job
		rest []*Job
	}
	state, walked := map[*Job]int{}, map[job.ID]bool{}
	for _, root := range p.Jobs {
		if state[root] != 0 {
			continue
		}
		state[root] = open
		for stack := []frame{{root, p.after(root, walked)}}; len(stack) > 0; {
			top := &stack[len(stack)-1]
			if len(top.rest) == 0 {
				for _, entry := range top.job.Spec.After {
					if entry.IsArray() {
						walked[entry] = true
					}
				}
				state[top.job] = done
				leave(top.job)
				stack = stack[:len(stack)-1]
				continue
			}
			other := top.rest[0]
			top.rest = top.rest[1:]
			switch state[other] {
			case 0:
				state[other] = open
				stack = append(stack, frame{other, p.after(other, walked)})
			case open:
				from := slices.IndexFunc(stack, func(f frame) bool { return f.job == other })
				var path []*Job
				for _, f := range stack[from:] {
					path = append(path, f.job)
				}
				cycle(path)
			}
		}
	}
}

// Ordered puts runs of the plan's jobs in an order in which each comes after those that it waits for: a broker takes a job when it knows these,
// and a large plan is submitted in several batches.
func (p *Plan) Ordered(runs []Again) []Again {
	at := map[*Job]int{}
	p.walk(func(j *Job) { at[j] = len(at) }, func([]*Job) {})
	runs = slices.Clone(runs)
	slices.SortStableFunc(runs, func(a, b Again) int { return at[a.Job] - at[b.Job] })
	return runs
}

// IDs says under which ID each job of a plan runs.
type IDs struct {
	of    func(name string) job.ID
	known map[string][]job.ID // what lists of predecessors with arrays become: those of many jobs are the same
}

// NewIDs returns the IDs that a function says by the names of jobs.
func NewIDs(of func(name string) job.ID) *IDs { return &IDs{of, map[string][]job.ID{}} }

// after returns a list of predecessors with IDs in the place of names. Jobs of an array may have different IDs otherwise than by their
// index, when some of them run once more.
func (x *IDs) after(list []job.ID) (out []job.ID) {
	if !slices.ContainsFunc(list, job.ID.IsArray) {
		for _, name := range list {
			out = append(out, x.of(string(name)))
		}
		return out
	}
	var key []byte
	for _, name := range list {
		key = append(append(key, name...), ' ')
	}
	if known, ok := x.known[string(key)]; ok {
		return slices.Clone(known)
	}
	for _, name := range list {
		a, isArray := name.Array()
		if !isArray {
			out = append(out, x.of(string(name)))
			continue
		}
		for id := range a.IDs() {
			out = append(out, x.of(string(id)))
		}
	}
	out = job.Arrays(out)
	x.known[string(key)] = out
	return slices.Clone(out)
}
