package resolve

import (
	"slices"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/clock"
)

// Resolve decides what to do now, and takes it as done: what starts or resumes runs from here on, victims leave,
// what expired is gone (what ran and expired leaves). It is [Plan] of [Queue.Snapshot], but for Defer, which it
// leaves out. Time does not run backwards: a now before the last one counts as the last one. [Queue.Retime] sets it.
func (q *Queue) Resolve(now clock.Time) Decision {
	q.now = max(now, q.now)
	expired := q.step()
	was := newRecorder(q.settings, append(slices.Clone(q.on), q.gone(running)...), q.suspended(), q.held, q.heldKeys(), q.waits, q.aside)
	x := newTurns(q.settings, q.free.Resources, slices.Clone(q.on), q.leaving, q.aside)
	x.decision.Expire = expired

	q.round++
	q.busy = true
	var visited []*entry
	if q.strategy.packs {
		x.packs(func() []*entry { return q.first(window) }, q.holder, q.start)
	} else {
		for e := q.next(x); e != nil; e = q.next(x) {
			q.unlistFor(e)
			visited = append(visited, e)
			if x.visit(e, q.holder(e)) == starts {
				q.start(e)
			}
		}
	}
	q.busy = false
	for _, e := range visited {
		if e.listed {
			q.list(e)
		}
	}
	x.decision.Conflicts = q.conflicts(was, x)
	q.settle(x)
	return x.decision
}

// step brings ranks up to the present, and lets jobs expire that can't meet their deadlines. It returns why.
func (q *Queue) step() (out []Reason) {
	var gone []*entry
	for {
		e, ok := q.changes.Min()
		if !ok || e.change > q.now {
			break
		}
		if e.c.expired(q.now) {
			q.changes.DeleteMin()
			e.change = 0
			gone = append(gone, e)
			continue
		}
		q.rerank(e)
	}
	slices.SortFunc(gone, func(a, b *entry) int { return a.c.compare(b.c) })
	for _, e := range gone {
		out = append(out, Reason{e.c.Key, whyExpired(e, q.now)})
		if e.state == pending {
			q.unlink(e)
		} else {
			q.change(e, e.state, e.c.leaves(stopsDead, "", 0))
		}
	}
	return out
}

// gone lists the jobs that leave and are in this state.
func (q *Queue) gone(s state) (out []*entry) {
	for _, e := range q.leaving {
		if e.state == s {
			out = append(out, e)
		}
	}
	return out
}

// suspended lists all suspended jobs, also those that leave.
func (q *Queue) suspended() []*entry {
	out := q.gone(suspended)
	q.resumes.Ascend(func(e *entry) bool { out = append(out, e); return true })
	return out
}

// holder returns the job that holds the key which a pending one wants, nil when there is none.
func (q *Queue) holder(e *entry) *entry {
	if l := q.lines[e.c.Exclusive]; l != nil && e.state == pending {
		return l.holder
	}
	return nil
}

// next returns the job whose turn it is, nil when no turn can change anything more.
func (q *Queue) next(x *turns) *entry {
	if x.over() {
		return nil
	}
	best, _ := q.resumes.Min()
	for dev, g := range q.groups {
		if x.noMem || slices.Contains(x.blocked, dev) {
			continue
		}
		if e, ok := g.Min(); ok && (best == nil || e.turn(best) < 0) {
			best = e
		}
	}
	return best
}

// unlistFor takes a job out of its group for its turn.
func (q *Queue) unlistFor(e *entry) {
	q.unlist(e)
	e.listed, e.visited = true, q.round
}

// start lets a job run.
func (q *Queue) start(e *entry) { q.change(e, running, e.c.started(q.now)) }

// first lists the first n jobs that compete for room, in the order of their turn.
func (q *Queue) first(n int) []*entry {
	trees := []*btree.BTreeG[*entry]{q.resumes}
	for _, g := range q.groups {
		trees = append(trees, g)
	}
	out := make([]*entry, 0, n)
	for _, t := range trees {
		m := 0
		t.Ascend(func(e *entry) bool {
			if m++; m > n {
				return false
			}
			out = append(out, e)
			return true
		})
	}
	if len(trees) > 1 {
		byTurn(out)
	}
	return out[:min(n, len(out))]
}

// conflicts records what was decided between jobs that can't all run.
func (q *Queue) conflicts(was recorder, x *turns) []Conflict {
	fresh := false
	var keys []string
	for _, e := range q.fresh {
		if q.entries[e.c.Key] == e && e.state == pending {
			fresh = true
			keys = append(keys, e.c.Exclusive)
		}
	}
	for _, e := range x.acted {
		keys = append(keys, e.c.Exclusive)
	}
	if !fresh && len(x.acted) == 0 {
		return nil
	}
	eligible := q.first(maxContenders + len(x.acted))
	out := was.capacity(x, eligible)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		l := q.lines[key]
		if l == nil || l.ready.Len() == 0 {
			continue
		}
		var list []*entry
		l.ready.Ascend(func(e *entry) bool {
			list = append(list, e)
			return len(list) <= maxContenders+len(x.acted)
		})
		out = append(out, was.exclusive(x, key, list, eligible, l.ready.Len())...)
	}
	return out
}

// settle takes the rest of the decision as done: victims leave, and no job that waits is fresh any more.
func (q *Queue) settle(x *turns) {
	for _, p := range x.decision.Preempt {
		v := q.entries[p.Victim]
		q.change(v, running, v.c.leaves(Leaving(p.Mode), p.For, p.Level))
		e := q.entries[p.For]
		e.c = e.c.seen(true)
	}
	for _, e := range q.fresh {
		if e.state == pending {
			e.c = e.c.seen(false)
		}
	}
	clear(q.fresh)
	q.fresh = q.fresh[:0]
}
