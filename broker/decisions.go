package broker

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/setting"
)

// decisions settle which jobs run here when not all can (package resolve): the queue, what it
// must know of each job, and the conflicts that were decided.
type decisions struct {
	*core
	causality   *causality
	emergencies *emergencies

	queue     *resolve.Queue
	chosen    chosen           // the strategy that decides unless an emergency commands another
	setting   *setting.Setting // the cluster's strategy; nil until somebody has set it
	undecided bool             // the queue has changed since its last decision
	heldStale bool             // which exclusive keys are held elsewhere has changed (rule J10)
	tight     bool             // the machine's memory is nearly used up
	history   *resolve.History // of conflicts
	urgent    bool             // a job may have had an emergency level when those were last looked at that arrays wait for
}

func newDecisions(c *core, causality *causality, emergencies *emergencies) decisions {
	d := decisions{core: c, causality: causality, emergencies: emergencies, queue: resolve.NewQueue(c.cfg.Capabilities.Capacity)}
	d.history = resolve.NewHistory(d.kept())
	return d
}

// decide lets the queue decide, unless nothing has changed since it last did: then ok is false.
func (d *decisions) decide(now clock.Time) (out resolve.Decision, ok bool) {
	d.refreshHeld()
	if !d.undecided && !d.ready() {
		return out, false
	}
	d.undecided = false
	out = d.queue.Resolve(now)
	for _, c := range out.Conflicts {
		d.keep(c)
	}
	return out, true
}

// counts says how many jobs hold room here, and how many wait for it.
func (d *decisions) counts() (running, waiting int) { return d.queue.Counts() }

// free is the room that no running job has.
func (d *decisions) free() job.Resources { return d.queue.Free() }

// snapshot is what competes here.
func (d *decisions) snapshot(now clock.Time) resolve.Snapshot { return d.queue.Snapshot(now) }

// add lets a job compete for its turn.
func (d *decisions) add(r *job.Record) {
	d.queue.Add(d.candidate(r))
	d.undecided = true
}

// remove takes a job out: it has ended, or is given up.
func (d *decisions) remove(key string) {
	d.queue.Remove(key)
	d.undecided = true
}

// stop says that a running job was told to stop: its room is not free yet.
func (d *decisions) stop(key string) { d.queue.Stop(key) }

// stoodStill says that a job stands still: what it has given away is free.
func (d *decisions) stoodStill(key string) {
	d.undecided = true
	d.queue.Suspended(key, d.cityNow())
}

// requeued says that a stopped job waits for its turn again.
func (d *decisions) requeued(key string) {
	d.queue.Requeued(key)
	d.undecided = true
}

// noted hears of a changed job.
func (d *decisions) noted(r *job.Record) {
	if r.Spec.Exclusive != "" {
		d.heldStale = true
	}
}

// holdersChanged hears that a broker is lost, or is back: the keys that it holds are free, or held again.
func (d *decisions) holdersChanged() { d.heldStale = d.heldStale || len(d.jobs.keys) > 0 }

// relevel tells the queue of those of the jobs whose emergency level has changed.
func (d *decisions) relevel(keys []string) {
	for _, key := range keys {
		r := d.record(key)
		if r == nil || !d.queue.Known(key) {
			continue
		}
		level, _ := d.emergencies.activeSet.Level(&r.Spec)
		raised, _ := d.raised(r, &d.emergencies.activeSet)
		if l, up := d.queue.Levels(key); l != level || up != raised {
			d.refreshed(r)
		}
	}
}

// retime tells the queue what time it is, and of those of the jobs that have a deadline: it has changed.
func (d *decisions) retime(keys []string) {
	d.queue.Retime(d.cityNow())
	for _, key := range keys {
		if r := d.record(key); r != nil && dueOf(r) && d.queue.Known(key) {
			d.refreshed(r)
		}
	}
}

// refreshed tells the queue that what it knows of a job has changed.
func (d *decisions) refreshed(r *job.Record) {
	d.queue.Update(d.candidate(r))
	d.undecided = true
}

// ready reports whether it is time to decide again although nothing has happened.
func (d *decisions) ready() bool {
	at := d.queue.Next()
	return at != 0 && at <= d.cityNow()
}

// due is when that will be; zero is never.
func (d *decisions) due() time.Time {
	at := d.queue.Next()
	if at == 0 {
		return time.Time{}
	}
	return later(d.in(at), d.now.Add(time.Millisecond))
}

// candidate is what the queue must know of a job, with the jobs that come before it and the level
// that it inherits from those that wait for it.
func (d *decisions) candidate(r *job.Record) resolve.Candidate {
	return d.candidateOn(r, &d.emergencies.activeSet)
}

// candidateOn is the same where other emergencies are in force.
func (d *decisions) candidateOn(r *job.Record, set *emergency.ActiveSet) resolve.Candidate {
	c := resolve.CandidateOf(r)
	c.Deadline = d.deadline(r)
	c.Deps = d.causality.before(r)
	c.Level, _ = set.Level(&r.Spec)
	c.Raised, _ = d.raised(r, set)
	return c
}

// mostRelated bounds how many jobs the broker looks at along dependencies: each once,
// however many ways lead to it.
const mostRelated = 1024

// raised is the highest emergency level of those that wait for the end of a job (rule
// C5), whichever broker will run them, and the emergency that gives it.
func (d *decisions) raised(r *job.Record, set *emergency.ActiveSet) (level int, by emergency.ID) {
	seen, look := map[string]bool{r.Key(): true}, []*job.Record{r}
	for len(look) > 0 && len(seen) < mostRelated {
		p := look[0]
		look = look[1:]
		for _, key := range slices.Sorted(maps.Keys(d.jobs.wanted[p.ID])) {
			if seen[key] {
				continue
			}
			seen[key] = true
			if s := d.record(key); s != nil && !s.Finished() && waitsFor(s, p.ID) {
				if l, from := set.Level(&s.Spec); l > level {
					level, by = l, from
				}
				look = append(look, s)
			}
		}
		for _, w := range d.jobs.arrays.of(p.ID) {
			if l, from := d.raisedBy(w, set); l > level {
				level, by = l, from
			}
		}
	}
	return level, by
}

// anyUrgent reports whether a job may have an emergency level at all.
func (d *decisions) anyUrgent() bool { return len(d.emergencies.current) > 0 || d.jobs.tagged > 0 }

// raisedBy is the highest emergency level of those that wait for an array: of the first of them, where they are many. It is reckoned once for all jobs
// of the array.
func (d *decisions) raisedBy(w *awaited, set *emergency.ActiveSet) (level int, by emergency.ID) {
	if w.over() || !d.anyUrgent() {
		return 0, ""
	}
	if l := &w.levels; l.waits == d.jobs.arrays.waits && l.set.Equal(*set) {
		return l.level, l.by
	}
	n := 0
	w.by.Ascend(func(key string) bool {
		if s := d.record(key); s != nil && !s.Finished() && !s.HasEnding(w.id) {
			n++
			l, from := set.Level(&s.Spec)
			if up, far := d.raised(s, set); up > l {
				l, from = up, far
			}
			if l > level {
				level, by = l, from
			}
		}
		return n < mostRelated
	})
	w.levels = raisedLevel{level, by, *set, d.jobs.arrays.waits}
	return level, by
}

// causeOf is the emergency that gives a job here its level, "" when none does.
func (d *decisions) causeOf(key string) emergency.ID {
	r := d.record(key)
	if r == nil {
		return ""
	}
	set := &d.emergencies.activeSet
	level, by := set.Level(&r.Spec)
	if raised, from := d.raised(r, set); raised > level {
		return from
	}
	return by
}

// rerank tells the queue that the jobs which wait for these have changed, and with them the level
// that these inherit (rule C5), and so do the jobs before them in turn.
func (d *decisions) rerank(ids []job.ID) {
	d.jobs.arrays.waits++
	seen, look := map[job.ID]bool{}, slices.Clone(ids)
	for len(look) > 0 && len(seen) < mostRelated {
		id := look[0]
		look = look[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		if id.IsArray() {
			w := d.jobs.arrays.byID[id]
			d.jobs.arrays.reranked = d.jobs.arrays.reranked || w != nil && !w.over()
			continue
		}
		for _, key := range d.jobs.withID(id) { // several specs may have it (rule J3)
			p := d.record(key)
			if p == nil {
				continue
			}
			if d.queue.Known(key) { // one that has ended, too, until it is stopped
				d.refreshed(p)
			}
			if !p.Finished() {
				look = append(look, p.Spec.After...)
			}
		}
	}
}

// rerankArrays tells the queue of the jobs here whose level has changed, when who waits for arrays has, or an array is over.
func (d *decisions) rerankArrays(here func() []string) {
	if !d.jobs.arrays.reranked {
		return
	}
	d.jobs.arrays.reranked = false
	was := d.urgent
	if d.urgent = d.anyUrgent(); d.urgent || was {
		d.relevel(here())
	}
}

// keep adds a conflict to the history.
func (d *decisions) keep(c resolve.Conflict) {
	d.history.Add(c)
	d.stats.Conflicts.Add(c.Snapshot.Strategy)
}

// ranTwice records as a conflict that a job runs here and, in a newer attempt, elsewhere, as after
// a split. The attempt here gives way (rule J7).
func (d *decisions) ranTwice(r *job.Record) {
	c := d.candidate(r)
	s := d.queue.Snapshot(d.cityNow())
	s.Running, s.Suspended, s.Pending, s.Keys = []*resolve.Candidate{&c}, nil, nil, nil
	d.keep(resolve.Conflict{Kind: resolve.Twice, Over: c.Key, Winner: c.Key, At: r.Place.Broker, Snapshot: s})
}

// list answers with what was decided lately.
func (d *decisions) list(in ListConflicts) {
	out := &Conflicts{Total: d.history.Total()}
	if in.ID == "" {
		out.List = d.history.Latest(cmp.Or(max(in.Limit, 0), 100))
	} else if c, ok := d.history.Get(in.ID); ok {
		out.List = []resolve.Conflict{c}
	}
	d.answer(in.Token, out)
}

// kept is how many decided conflicts are remembered.
func (d *decisions) kept() int { return cmp.Or(d.cfg.Conflicts, resolve.DefaultHistory) }

// remember keeps a tenth of them, the newest, while memory is tight.
func (d *decisions) remember(tight bool) {
	if tight == d.tight {
		return
	}
	d.tight = tight
	n := d.kept()
	if tight {
		n = max(n/10, 1)
	}
	d.history.Resize(n)
}

// why says why a job waits, "" when it does not.
func (d *decisions) why(key string) string { return d.queue.Why(key) }

// whyCosts is how many entries why looks at.
func (d *decisions) whyCosts() int {
	runs, waits := d.queue.Counts()
	return runs + waits + 1
}

// asIfMost is the most jobs in a queue for which the other strategies are tried: that costs time in
// proportion to what waits, and the loop has others to serve.
const asIfMost = 256

// whyElse names the strategies under which a job that waits here would start now, or
// others be told to make room for it.
func (d *decisions) whyElse(key string) string {
	if runs, waits := d.queue.Counts(); runs+waits > asIfMost {
		return ""
	}
	s := d.queue.Snapshot(d.cityNow())
	var names []string
	for _, other := range resolve.All() {
		if other == d.queue.Strategy() {
			continue
		}
		s.Strategy = other
		p := resolve.Plan(s)
		if slices.Contains(p.Start, key) || slices.Contains(p.Resume, key) || slices.ContainsFunc(p.Preempt, func(p resolve.Preempt) bool { return p.For == key }) {
			names = append(names, string(other))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; would run now under " + strings.Join(names, ", ")
}
