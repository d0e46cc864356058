package resolve

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Plan decides what a snapshot asks for. It is total, and the reference: it looks at everything again for each
// turn, and so is slow and easy to read.
//
//  1. A job that can't meet its deadline any more expires, and takes part in nothing else.
//  2. Each job's rank is its own, or that of the most urgent job that waits for it (rule C5).
//  3. Of those that may run, the job of the highest rank has its turn: it starts, resumes, makes room, or waits and
//     reserves what it wants. (A strategy that packs weighs the first of them against each other instead.)
//  4. Each job that waits is told why.
func Plan(s Snapshot) Decision {
	p := newPlan(s)
	p.expire()
	p.inherit()
	p.was = p.record()
	x := newTurns(p.settings, p.free(), p.on(), p.leaving(), p.aside)
	start := func(e *entry) { e.state = running }
	if p.strategy.packs {
		x.packs(func() []*entry {
			list := p.eligible()
			return list[:min(window, len(list))]
		}, p.holder, start)
	} else {
		visited := map[*entry]bool{}
		for e := p.next(x, visited); e != nil; e = p.next(x, visited) {
			visited[e] = true
			if x.visit(e, p.holder(e)) == starts {
				start(e)
			}
		}
	}
	x.decision.Expire = p.expired
	x.decision.Conflicts = p.conflicts(x)
	x.decision.Defer = p.reasons(x)
	return x.decision
}

// plan is a snapshot while it is decided on.
type plan struct {
	settings
	s       Snapshot
	entries []*entry
	byKey   map[string]*entry
	expired []Reason
	twice   []*entry // named more than once; the state that has gone farthest counts
	was     recorder // what is there before the decision
}

// newPlan makes entries of a snapshot's jobs, without ranks.
func newPlan(s Snapshot) *plan {
	p := &plan{
		settings: settings{s.Now, s.Strategy.row(), s.Override, s.Weights, s.Capacity},
		s:        s, byKey: map[string]*entry{},
	}
	for _, list := range []struct {
		state state
		jobs  []*Candidate
	}{{running, s.Running}, {suspended, s.Suspended}, {pending, s.Pending}} {
		jobs := slices.Clone(list.jobs)
		slices.SortFunc(jobs, (*Candidate).compare)
		for _, c := range jobs {
			if first := p.byKey[c.Key]; first != nil {
				p.twice = append(p.twice, &entry{c: c, state: list.state})
				continue
			}
			e := &entry{c: c, state: list.state, dev: c.devices()}
			p.byKey[c.Key] = e
			p.entries = append(p.entries, e)
		}
	}
	return p
}

// expire takes out the jobs that can't meet their deadlines any more; of those that run, it tells them to stop.
func (p *plan) expire() {
	var gone []*entry
	for _, e := range p.entries {
		if e.c.expired(p.now) && e.c.Leaving != stopsDead {
			gone = append(gone, e)
		}
	}
	slices.SortFunc(gone, func(a, b *entry) int { return a.c.compare(b.c) })
	for _, e := range gone {
		p.expired = append(p.expired, Reason{e.c.Key, whyExpired(e, p.now)})
		if e.state == pending {
			delete(p.byKey, e.c.Key)
			p.entries = slices.DeleteFunc(p.entries, func(f *entry) bool { return f == e })
		} else {
			e.c = e.c.leaves(stopsDead, "", 0)
		}
	}
}

// whyExpired says why a job can't meet its deadline.
func whyExpired(e *entry, now clock.Time) string {
	switch {
	case now > e.c.Deadline && e.state == running:
		return "its deadline passed while it ran"
	case now > e.c.Deadline:
		return "its deadline passed before it could run"
	}
	ms := func(t clock.Time) time.Duration { return time.Duration(t) * time.Millisecond }
	return "it can't meet its deadline any more: " + ms(e.c.Deadline-now).String() + " are left, and it is expected to run " + ms(e.c.remaining()).String()
}

// inherit gives every job its rank: its own, or the highest of those that wait for it.
func (p *plan) inherit() {
	for _, e := range p.entries {
		e.own = p.ownOf(e.c)
		e.eff = higher(e.own, p.lent(e.c.KeyLent))
	}
	later := map[*entry]rank{} // what those lend that come after
	for changed := true; changed; {
		changed = false
		for _, y := range p.entries {
			lends, ok := later[y]
			if y.state == pending {
				lends, ok = y.eff, true
			}
			if !ok {
				continue
			}
			ends, past := p.waitsFor(y)
			for _, e := range append(ends, past...) {
				if e.eff.compare(lends) < 0 {
					e.eff, changed = lends, true
				}
			}
			for _, e := range past {
				if was, ok := later[e]; !ok || was.compare(lends) < 0 {
					later[e], changed = lends, true
				}
			}
		}
	}
}

// aside is a job's rank without what is lent by the jobs that want its key (see [Queue.aside]).
func (p *plan) aside(e *entry) rank {
	r := e.own
	for _, y := range p.entries {
		if y.state == pending && slices.Contains(y.c.After, e.c.Key) {
			r = higher(r, y.eff)
		}
	}
	return r
}

// waitsFor lists the jobs that a job waits for: those whose end it waits for (rule C4), the holder of its key,
// and under causal order those that its submitter had seen. (A job that runs waits for none. But what comes
// after it also comes after what comes before it, and lends to that through it.)
func (p *plan) waitsFor(y *entry) (ends, past []*entry) {
	if y.state == pending {
		for _, key := range y.c.After {
			if e := p.byKey[key]; e != nil {
				ends = append(ends, e)
			}
		}
		if h := p.holder(y); h != nil {
			ends = append(ends, h)
		}
	}
	if p.strategy.causal {
		for _, key := range y.c.Deps {
			if e := p.byKey[key]; e != nil && p.open(e, nil) {
				past = append(past, e)
			}
		}
	}
	return ends, past
}

// open reports whether a job, or one before it, has not had its turn: what comes after must not start. A
// suspended job has had its turn.
func (p *plan) open(e *entry, seen map[*entry]bool) bool {
	if e.state == pending {
		return true
	}
	if seen == nil {
		seen = map[*entry]bool{}
	}
	seen[e] = true
	for _, key := range e.c.Deps {
		if d := p.byKey[key]; d != nil && !seen[d] && p.open(d, seen) {
			return true
		}
	}
	return false
}

// holder returns the job that holds the key which a pending job wants, nil when it is free.
func (p *plan) holder(e *entry) *entry {
	if e.c.Exclusive == "" || e.state != pending {
		return nil
	}
	var h *entry
	for _, f := range p.entries {
		if f.holdsKey() && f.c.Exclusive == e.c.Exclusive && (h == nil || f.c.compare(h.c) < 0) {
			h = f
		}
	}
	return h
}

// elsewhere says which job outside of the snapshot holds the key that a pending job wants; nil is none.
func (s Snapshot) elsewhere(e *entry) *HeldKey {
	if e.c.Exclusive == "" || e.state != pending {
		return nil
	}
	for i, k := range s.Keys {
		if k.Exclusive == e.c.Exclusive {
			return &s.Keys[i]
		}
	}
	return nil
}

// unready says why a pending job may not run whatever room there is, "" when it may.
func (p *plan) unready(e *entry) string {
	return p.settings.unready(e, p.byKey, func(f *entry) bool { return p.open(f, nil) })
}

// eligible lists the jobs that may run, in the order of their turn; of those that want one key, the first alone.
func (p *plan) eligible() []*entry {
	var out []*entry
	heads := map[string]*entry{}
	for _, e := range p.entries {
		if !e.contends() || p.unready(e) != "" || p.s.elsewhere(e) != nil {
			continue
		}
		if key := e.c.Exclusive; key != "" && e.state == pending {
			if h := heads[key]; h == nil || e.turn(h) < 0 {
				heads[key] = e
			}
			continue
		}
		out = append(out, e)
	}
	for _, e := range heads {
		out = append(out, e)
	}
	return byTurn(out)
}

// next returns the job whose turn it is, nil when all have had theirs.
func (p *plan) next(x *turns, visited map[*entry]bool) *entry {
	for _, e := range p.eligible() {
		if !visited[e] && (e.state == suspended || !slices.Contains(x.blocked, e.dev)) {
			return e
		}
	}
	return nil
}

// on lists the jobs that run and were not told to leave.
func (p *plan) on() (out []*entry) {
	for _, e := range p.entries {
		if e.state == running && e.c.Leaving == stays {
			out = append(out, e)
		}
	}
	return out
}

// leaving lists the jobs that were told to leave.
func (p *plan) leaving() (out []*entry) {
	for _, e := range p.entries {
		if e.c.Leaving != stays {
			out = append(out, e)
		}
	}
	return out
}

// free is what no job holds.
func (p *plan) free() job.Resources {
	r := newRoom(p.capacity)
	r.take(p.s.Held)
	for _, e := range p.entries {
		r.take(e.holds())
	}
	return r.Resources
}

// reasons says why each job waits that does.
func (p *plan) reasons(x *turns) (out []Reason) {
	comes := map[string]bool{}
	for _, d := range x.decision.Preempt {
		comes[d.For] = true
	}
	for _, e := range p.leaving() {
		comes[e.c.For] = true
	}
	heads := p.eligible()
	for n, e := range p.waiting() {
		why := roomComes
		if !comes[e.c.Key] {
			why = p.why(x, e, slices.Contains(heads, e), n)
		}
		out = append(out, Reason{e.c.Key, why})
	}
	for _, e := range p.twice {
		out = append(out, Reason{e.c.Key, "is here already"})
	}
	return out
}

// waiting lists all jobs that want to run and don't, in the order of their turn.
func (p *plan) waiting() (out []*entry) {
	for _, e := range p.entries {
		if e.contends() {
			out = append(out, e)
		}
	}
	return byTurn(out)
}

// why says why a job waits. Head is whether it may compete for room, ahead how many have their turn before it.
func (p *plan) why(x *turns, e *entry, head bool, ahead int) string {
	if why := p.unready(e); why != "" {
		return why
	}
	if why := keyless(e.c, p.s.elsewhere(e), p.holder(e), head); why != "" {
		return why
	}
	return p.noRoom(x.free.Resources, e, ahead)
}
