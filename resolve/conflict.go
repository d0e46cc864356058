package resolve

import (
	"slices"

	"github.com/urban-compute/ucp/job"
)

// Kind says what a conflict is over.
type Kind string

// The kinds of conflict.
const (
	Capacity Kind = "capacity"  // jobs do not fit together
	KeyHeld  Kind = "exclusive" // they want the same exclusive key (rule J10)
	Twice    Kind = "twice"     // the same job is to run twice
)

// maxContenders bounds how many jobs a conflict records; the rest are counted.
const maxContenders = 64

// Conflict records what was decided between jobs that can't all run now: the snapshot that the decision rested on,
// cut down to the contenders. All else (relations, scores, the sentence, what another strategy would have done)
// follows from it: see [Conflict.Explain].
type Conflict struct {
	ID       string   `json:"id,omitempty"` // [History.Add] gives it
	Kind     Kind     `json:"kind"`
	Over     string   `json:"over,omitempty"`   // the exclusive key, or the key of the job that is to run twice
	Winner   string   `json:"winner,omitempty"` // the key of the first job that the decision favours
	At       string   `json:"at,omitempty"`     // of a job that ran twice: the broker where it runs on
	Rest     int      `json:"rest"`             // contenders beyond those recorded
	Snapshot Snapshot `json:"snapshot"`
}

// recorder makes conflicts of what it noted before a decision began.
type recorder struct {
	settings
	running   []*Candidate // with what they inherit written down
	suspended []*Candidate // all, also those that leave
	held      job.Resources
	keys      []HeldKey
	total     int               // of contenders
	aside     func(*entry) rank // see [turns]
}

// newRecorder notes what is there before the decision.
func newRecorder(s settings, on, suspends []*entry, held job.Resources, keys []HeldKey, total int, aside func(*entry) rank) recorder {
	r := recorder{settings: s, held: held, keys: keys, total: total, aside: aside}
	for _, e := range on {
		r.running = append(r.running, r.baked(e))
	}
	slices.SortFunc(r.running, (*Candidate).compare)
	for _, e := range suspends {
		r.suspended = append(r.suspended, r.baked(e))
	}
	slices.SortFunc(r.suspended, (*Candidate).compare)
	return r
}

// baked returns the entry's candidate with what it inherits written down: the lenders may not be recorded.
func (r recorder) baked(e *entry) *Candidate {
	if e.eff == e.own {
		return e.c
	}
	c := *e.c
	if aside := r.aside(e); e.state != pending && e.c.Exclusive != "" {
		c.Lent, c.KeyLent = r.lend(aside), r.lend(e.eff)
	} else {
		c.Lent = r.lend(e.eff)
	}
	return &c
}

// capacity records the jobs that competed for room: those that won, then those that wait, in the order of their
// turn. Nothing is recorded when nothing was decided: no job moved, and none came.
func (r recorder) capacity(x *turns, waiting []*entry) []Conflict {
	if !x.anyWaits() && len(x.decision.Preempt) == 0 {
		return nil
	}
	contenders := x.contenders(waiting)
	if fresh := slices.ContainsFunc(contenders, func(e *entry) bool { return e.c.Fresh }); len(x.acted) == 0 && !fresh {
		return nil
	}
	c := Conflict{Kind: Capacity, Rest: r.total - len(contenders), Snapshot: r.snapshot(contenders)}
	if len(x.acted) > 0 {
		c.Winner = x.acted[0].c.Key
	}
	return []Conflict{c}
}

// maxLine bounds how many of the jobs that want a key its conflict records.
const maxLine = maxContenders / 2

// exclusive records the jobs that competed for a key: those that had their turn with success, those that want the
// key, and the first of the others, since they may be why there was no room for one that got the key. Total counts
// those that want it.
func (r recorder) exclusive(x *turns, key string, line, others []*entry, total int) []Conflict {
	wants := func(e *entry) bool { return e.c.Exclusive == key && e.state == pending }
	c := Conflict{Kind: KeyHeld, Over: key}
	won, waits := 0, 0
	for i := range x.acted {
		if e := &x.acted[i]; wants(e) {
			if won++; c.Winner == "" {
				c.Winner = e.c.Key
			}
			if !x.claims[e.c.Key] {
				total++ // it started, and is not among those that wait
			}
		}
	}
	line = line[:min(len(line), maxLine)]
	fresh := false
	for _, e := range line {
		fresh = fresh || e.c.Fresh
		if !x.claims[e.c.Key] {
			waits++
		}
	}
	if won == 0 && !fresh || waits == 0 && !x.displacesHolder(c.Winner, key) {
		return nil
	}
	others = slices.DeleteFunc(slices.Clone(others), wants) // the first of the line is among them
	contenders := x.contenders(slices.Concat(line, others))
	for _, e := range contenders {
		if wants(e) {
			total--
		}
	}
	c.Rest, c.Snapshot = total, r.snapshot(contenders)
	return []Conflict{c}
}

// displacesHolder reports whether a job makes the holder of the key leave.
func (x *turns) displacesHolder(winner, key string) bool {
	return slices.ContainsFunc(x.requeued, func(v *entry) bool { return v.c.Exclusive == key }) && winner != ""
}

// contenders lists the jobs that had their turn with success and then the others, each once, as many as are
// recorded.
func (x *turns) contenders(others []*entry) (out []*entry) {
	out = make([]*entry, 0, maxContenders)
	for i := range x.acted {
		if len(out) < maxContenders {
			out = append(out, &x.acted[i])
		}
	}
	won := len(out)
	for _, e := range others {
		if len(out) == maxContenders {
			break
		}
		if !slices.ContainsFunc(out[:won], func(f *entry) bool { return f.c == e.c }) {
			out = append(out, e)
		}
	}
	return out
}

// snapshot makes the snapshot of these contenders alone. What is held by suspended jobs that are left out stays
// held.
func (r recorder) snapshot(contenders []*entry) Snapshot {
	s := Snapshot{
		Now: r.now, Strategy: r.strategy.name, Override: r.override, Weights: r.weights, Capacity: r.settings.capacity,
		Running: r.running, Keys: slices.Clone(r.keys),
	}
	s.Pending = make([]*Candidate, 0, len(contenders))
	in := func(c *Candidate) bool {
		return slices.ContainsFunc(contenders, func(e *entry) bool { return e.c.Key == c.Key })
	}
	for _, e := range contenders {
		if e.state == pending {
			s.Pending = append(s.Pending, r.baked(e))
		}
	}
	held := newRoom(r.held)
	for _, c := range r.suspended {
		switch {
		case c.Leaving != stays || in(c):
			s.Suspended = append(s.Suspended, c)
		default:
			held.give(c.keeps())
			if c.Exclusive != "" {
				s.Keys = append(s.Keys, HeldKey{Exclusive: c.Exclusive, By: c.Key})
			}
		}
	}
	s.Held = held.Resources
	return s
}

// twice records a job that was named twice.
func (r recorder) twice(c *Candidate) Conflict {
	s := r.snapshot(nil)
	return Conflict{Kind: Twice, Over: c.Key, Winner: c.Key, Snapshot: s}
}

// record notes what is there before [Plan] decides.
func (p *plan) record() recorder {
	var on, suspends []*entry
	n := 0
	for _, e := range p.entries {
		switch {
		case e.state == running:
			on = append(on, e)
		case e.state == suspended:
			suspends = append(suspends, e)
		}
		if e.contends() {
			n++
		}
	}
	return newRecorder(p.settings, on, suspends, p.s.Held, p.s.Keys, n, p.aside)
}

// conflicts records what was decided between jobs that can't all run.
func (p *plan) conflicts(x *turns) []Conflict {
	eligible := p.eligible()
	out := p.was.capacity(x, eligible)
	lines := map[string][]*entry{}
	for _, e := range p.waiting() {
		if e.state == pending && e.c.Exclusive != "" && p.unready(e) == "" {
			lines[e.c.Exclusive] = append(lines[e.c.Exclusive], e)
		}
	}
	var keys []string
	for key := range lines {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		out = append(out, p.was.exclusive(x, key, lines[key], eligible, len(lines[key]))...)
	}
	for _, e := range p.twice {
		out = append(out, p.was.twice(e.c))
	}
	return out
}
