package resolve

import (
	"slices"

	"github.com/google/btree"
)

// The indexes of a Queue change by two moves: a job is linked, or it is unlinked.
// Whatever else happens to it (it starts, is suspended, gets another priority) is
// the one and then the other.

// link takes a job in.
func (q *Queue) link(e *entry) {
	key := e.c.Key
	q.entries[key] = e
	q.free.take(e.holds())
	switch {
	case e.c.Leaving != stays:
		q.leaving = append(q.leaving, e)
	case e.state == running:
		q.on = append(q.on, e)
	default:
		q.waits++
	}
	register(q.after, e, e.c.After)
	register(q.deps, e, e.c.Deps)
	e.waiting, e.open = q.count(e.c.After, false), q.count(e.c.Deps, true)
	e.isOpen = e.state == pending || e.open > 0
	if e.holdsKey() {
		q.line(e.c.Exclusive).holder = e
	}
	q.assess(e)
	e.lent, e.later = q.lentTo(e)
	e.eff = higher(e.own, e.lent)
	q.attach(e)
	for _, w := range q.after[key] {
		q.detach(w)
		w.waiting++
		q.attach(w)
	}
	if e.isOpen {
		q.opened(key, +1)
	}
	q.lendTo(q.waitsFor(e), lowest, e.lends())
}

// unlink takes it out.
func (q *Queue) unlink(e *entry) {
	key, lends, to := e.c.Key, e.lends(), q.waitsFor(e)
	q.detach(e)
	q.forget(q.after, e, e.c.After)
	q.forget(q.deps, e, e.c.Deps)
	delete(q.entries, key)
	q.free.give(e.holds())
	switch {
	case e.c.Leaving != stays:
		q.leaving = without(q.leaving, e)
	case e.state == running:
		q.on = without(q.on, e)
	default:
		q.waits--
	}
	if e.holdsKey() {
		q.line(e.c.Exclusive).holder = nil
	}
	q.tidy(e.c.Exclusive)
	for _, w := range q.after[key] {
		q.detach(w)
		w.waiting--
		q.attach(w)
	}
	if e.isOpen {
		q.opened(key, -1)
	}
	q.lendTo(to, lends, lowest)
}

func without(list []*entry, e *entry) []*entry {
	if i := slices.Index(list, e); i >= 0 {
		list[i] = list[len(list)-1]
		list[len(list)-1] = nil
		return list[:len(list)-1]
	}
	return list
}

// register notes for whom a job waits.
func register(m map[string][]*entry, e *entry, keys []string) {
	for _, key := range keys {
		m[key] = append(m[key], e)
	}
}

// count returns how many of the keys are here and, of dependencies, open.
func (q *Queue) count(keys []string, open bool) (n int) {
	for _, key := range keys {
		if f := q.entries[key]; f != nil && (f.isOpen || !open) {
			n++
		}
	}
	return n
}

func (q *Queue) forget(m map[string][]*entry, e *entry, keys []string) {
	for _, key := range keys {
		if m[key] = without(m[key], e); len(m[key]) == 0 {
			delete(m, key)
		}
	}
}

// opened counts, at those that come after a job, that it opened or closed.
func (q *Queue) opened(key string, by int) {
	for _, d := range q.deps[key] {
		q.detach(d)
		d.open += by
		q.attach(d)
		if open := d.state == pending || d.open > 0; open != d.isOpen {
			d.isOpen = open
			q.opened(d.c.Key, by)
			q.relend(d)
		}
	}
}

// line returns the line for a key.
func (q *Queue) line(key string) *line {
	l := q.lines[key]
	if l == nil {
		l = &line{all: turnTree(), ready: turnTree()}
		q.lines[key] = l
	}
	return l
}

func (q *Queue) tidy(key string) {
	if l := q.lines[key]; l != nil && l.holder == nil && l.all.Len() == 0 {
		delete(q.lines, key)
	}
}

// attach puts a job where it is found: nothing that decides this may change while
// it is there.
func (q *Queue) attach(e *entry) {
	if e.change != 0 {
		q.changes.ReplaceOrInsert(e)
	}
	switch {
	case e.state == suspended && e.c.Leaving == stays:
		q.list(e)
	case e.state != pending:
	case e.c.Exclusive == "":
		if q.isReady(e) {
			q.list(e)
		}
	default:
		l := q.line(e.c.Exclusive)
		l.all.ReplaceOrInsert(e)
		if q.isReady(e) {
			l.ready.ReplaceOrInsert(e)
			q.elect(l, e.c.Exclusive)
		}
	}
}

// detach is the reverse.
func (q *Queue) detach(e *entry) {
	if e.change != 0 {
		q.changes.Delete(e)
	}
	q.unlist(e)
	if e.state == pending && e.c.Exclusive != "" {
		l := q.line(e.c.Exclusive)
		l.all.Delete(e)
		l.ready.Delete(e)
		if l.head == e {
			l.head = nil
		}
		q.elect(l, e.c.Exclusive)
	}
}

func (q *Queue) isReady(e *entry) bool {
	return e.waiting == 0 && (!q.strategy.causal || e.open == 0) && q.capacity.Fits(e.c.Want)
}

// elect lets the first of a line, and it alone, compete for room.
func (q *Queue) elect(l *line, key string) {
	first, _ := l.ready.Min()
	if _, held := q.elsewhere[key]; held {
		first = nil
	}
	if l.head == first {
		return
	}
	if l.head != nil {
		q.unlist(l.head)
	}
	if l.head = first; first != nil {
		q.list(first)
	}
}

// list makes a job compete for room. Who had its turn in the decision under way
// does not get another.
func (q *Queue) list(e *entry) {
	e.listed = true
	if !e.grouped && !(q.busy && e.visited == q.round) {
		e.grouped = true
		q.group(e).ReplaceOrInsert(e)
	}
}

func (q *Queue) unlist(e *entry) {
	e.listed = false
	if e.grouped {
		e.grouped = false
		g := q.group(e)
		if g.Delete(e); g.Len() == 0 && g != q.resumes {
			delete(q.groups, e.dev)
		}
	}
}

func (q *Queue) group(e *entry) *btree.BTreeG[*entry] {
	if e.state == suspended {
		return q.resumes
	}
	g := q.groups[e.dev]
	if g == nil {
		g = turnTree()
		q.groups[e.dev] = g
	}
	return g
}

// lends is the rank that a job lends to those that it waits for: its own only
// while it waits itself, else what those lend that come after it. (What is lent to
// the holder of a key it must not pass on: a circle would keep itself up.)
func (e *entry) lends() rank {
	if e.state == pending {
		return e.eff
	}
	return e.later
}

// targets are for whom a job waits, as [plan.waitsFor].
type targets struct {
	ends []*entry // of which it waits for the end, and who holds its key
	past []*entry // what its submitter had seen
}

func (q *Queue) waitsFor(e *entry) (out targets) {
	if e.state == pending {
		for _, key := range e.c.After {
			if f := q.entries[key]; f != nil {
				out.ends = append(out.ends, f)
			}
		}
		if l := q.lines[e.c.Exclusive]; l != nil && l.holder != nil {
			out.ends = append(out.ends, l.holder)
		}
	}
	if q.strategy.causal {
		for _, key := range e.c.Deps {
			if f := q.entries[key]; f != nil && f.isOpen {
				out.past = append(out.past, f)
			}
		}
	}
	return out
}

// aside is a job's rank without what those lend that want its key. (Only
// strategies that know no causal order ask.)
func (q *Queue) aside(e *entry) rank {
	r := e.own
	for _, w := range q.after[e.c.Key] {
		if w.state == pending {
			r = higher(r, w.eff)
		}
	}
	return r
}

// lentTo returns the highest rank that is lent to a job, and that of those that
// come after it.
func (q *Queue) lentTo(e *entry) (all, later rank) {
	all, later = q.settings.lent(e.c.KeyLent), lowest
	for _, w := range q.after[e.c.Key] {
		if w.state == pending {
			all = higher(all, w.eff)
		}
	}
	if q.strategy.causal && e.isOpen {
		for _, d := range q.deps[e.c.Key] {
			later = higher(later, d.lends())
		}
	}
	if l := q.lines[e.c.Exclusive]; l != nil && l.holder == e {
		if first, ok := l.all.Min(); ok {
			all = higher(all, first.eff)
		}
	}
	return higher(all, later), later
}

// lendTo tells those that a job waits for that it lends them now, instead of old.
// To raise them is quick; to lower them asks all that wait for them.
func (q *Queue) lendTo(to targets, old, now rank) {
	for _, t := range to.ends {
		switch {
		case now.compare(t.lent) > 0:
			q.setLent(t, now, t.later)
		case old == t.lent && now.compare(old) < 0:
			q.relend(t)
		}
	}
	for _, t := range to.past {
		switch {
		case now.compare(t.later) > 0:
			q.setLent(t, higher(t.lent, now), now)
		case old == t.later && now.compare(old) < 0:
			q.relend(t)
		}
	}
}

func (q *Queue) relend(e *entry) {
	all, later := q.lentTo(e)
	q.setLent(e, all, later)
}

func (q *Queue) setLent(e *entry, all, later rank) {
	if all == e.lent && later == e.later {
		return
	}
	old := e.lends()
	q.detach(e)
	e.lent, e.later, e.eff = all, later, higher(e.own, all)
	q.attach(e)
	q.lendTo(q.waitsFor(e), old, e.lends())
}

// assess computes a job's own rank, and when that changes next. The two belong
// together: a job that is moved about for other reasons keeps both.
func (q *Queue) assess(e *entry) {
	e.own, e.change = q.ownOf(e.c), 0
	if e.c.Leaving != stopsDead {
		e.change = e.c.nextChange(q.now)
	}
}

// rerank takes in that a job's own rank changed with time.
func (q *Queue) rerank(e *entry) {
	old := e.lends()
	q.detach(e)
	q.assess(e)
	e.eff = higher(e.own, e.lent)
	q.attach(e)
	q.lendTo(q.waitsFor(e), old, e.lends())
}
