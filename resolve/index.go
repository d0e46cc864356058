package resolve

import (
	"slices"

	"github.com/google/btree"
)

// The indexes of a Queue change by two moves: a job is linked, or it is unlinked. Whatever else happens to it (it
// starts, is suspended, gets another priority) is an unlink and then a link.

// link puts a job into all indexes.
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
		if e.state == pending {
			q.oldest.add(q, e)
		}
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

// unlink takes it out of them.
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

// register notes the jobs that a job waits for.
func register(m map[string][]*entry, e *entry, keys []string) {
	for _, key := range keys {
		m[key] = append(m[key], e)
	}
}

// count returns how many of the keys are of jobs that are here and, where that is asked, open.
func (q *Queue) count(keys []string, open bool) (n int) {
	for _, key := range keys {
		if f := q.entries[key]; f != nil && (f.isOpen || !open) {
			n++
		}
	}
	return n
}

// forget is the reverse of register.
func (q *Queue) forget(m map[string][]*entry, e *entry, keys []string) {
	for _, key := range keys {
		if m[key] = without(m[key], e); len(m[key]) == 0 {
			delete(m, key)
		}
	}
}

// opened counts, at the jobs that come after a job, that it was opened or closed (by is 1 or -1).
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

// line returns the line of a key; it makes one where there is none.
func (q *Queue) line(key string) *line {
	l := q.lines[key]
	if l == nil {
		l = &line{all: turnTree(), ready: turnTree()}
		q.lines[key] = l
	}
	return l
}

// tidy drops the line of a key that no job holds or wants.
func (q *Queue) tidy(key string) {
	if l := q.lines[key]; l != nil && l.holder == nil && l.all.Len() == 0 {
		delete(q.lines, key)
	}
}

// attach puts a job into the trees in which decisions look for it. Nothing that its place there depends on may
// change until it is detached.
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

// detach is the reverse of attach.
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

// isReady reports whether nothing but room and an exclusive key keeps a pending job from running; unready says
// what does.
func (q *Queue) isReady(e *entry) bool {
	return e.waiting == 0 && (!q.strategy.causal || e.open == 0) && q.capacity.Fits(e.c.Want)
}

// elect lets the first of a line compete for room, and no other of it.
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

// list makes a job compete for room. A job that had its turn in the decision under way does not get another.
func (q *Queue) list(e *entry) {
	e.listed = true
	if !e.grouped && !(q.busy && e.visited == q.round) {
		e.grouped = true
		q.group(e).ReplaceOrInsert(e)
	}
}

// unlist is the reverse of list.
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

// group is the tree in which a job that competes for room is found.
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

// lends is the rank that a job lends to the jobs which it waits for: its own only while it waits itself, else
// what is lent by those that come after it. (It must not pass on what is lent to it as the holder of a key: a
// circle would keep itself up.)
func (e *entry) lends() rank {
	if e.state == pending {
		return e.eff
	}
	return e.later
}

// targets are the jobs that a job waits for, as of [plan.waitsFor].
type targets struct {
	ends []*entry // those whose end it waits for, and the holder of its key
	past []*entry // those that its submitter had seen
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

// aside is a job's rank without what is lent by the jobs that want its key. (Only displacing asks for it, and a
// causal strategy displaces nothing: what comes after the job need not be looked at.)
func (q *Queue) aside(e *entry) rank {
	r := e.own
	for _, w := range q.after[e.c.Key] {
		if w.state == pending {
			r = higher(r, w.eff)
		}
	}
	return r
}

// lentTo returns the highest rank that is lent to a job, and the highest of those that come after it.
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

// lendTo tells the jobs which a job waits for that it lends them rank now, instead of old. To raise them is
// quick; to lower them, all that wait for them are asked.
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

// relend asks all that wait for a job what they lend it.
func (q *Queue) relend(e *entry) {
	all, later := q.lentTo(e)
	q.setLent(e, all, later)
}

// setLent notes what is lent to a job, and passes it on.
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

// assess computes a job's own rank, and when that changes next. The two belong together: a job that is moved
// for other reasons keeps both.
func (q *Queue) assess(e *entry) {
	e.own, e.change = q.ownOf(e.c), 0
	if e.c.Leaving != stopsDead {
		e.change = e.c.nextChange(q.now)
	}
}

// rerank puts a job in its place after its own rank changed with time.
func (q *Queue) rerank(e *entry) {
	old := e.lends()
	q.detach(e)
	q.assess(e)
	e.eff = higher(e.own, e.lent)
	q.attach(e)
	q.lendTo(q.waitsFor(e), old, e.lends())
}
