package resolve

import (
	"cmp"
	"slices"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Queue keeps the jobs of one executor in the order of their turn, so that a decision costs what it moves and
// not what waits. It decides as [Plan] does on [Queue.Snapshot]. It is not safe for concurrent use.
//
// Told of a preemption, the caller stops the victim and says so when it is done ([Queue.Suspended],
// [Queue.Requeued], or [Queue.Remove] when it ended by itself): only then is its room free.
//
// It relies on what brokers keep to: a job wants some CPU and memory, dependencies make no circle, one job
// holds a key here.
type Queue struct {
	settings
	held      job.Resources
	elsewhere map[string]HeldKey
	free      room

	entries map[string]*entry
	on      []*entry // they run, and were not told to leave
	leaving []*entry // they were
	waits   int      // how many contend

	after map[string][]*entry // those that wait for the end of a job
	deps  map[string][]*entry // those whose submitter had seen a job
	lines map[string]*line    // those that want an exclusive key

	groups  map[string]*btree.BTreeG[*entry] // pending ones that may run, by the devices which they want
	resumes *btree.BTreeG[*entry]            // suspended ones
	changes *btree.BTreeG[*entry]            // by when their urgency steps, or they expire

	oldest oldest // of the pending ones

	fresh []*entry // no decision has seen them
	round uint64   // of the decision under way, or the last
	busy  bool     // a decision is under way
}

// indexed is what a [Queue] keeps in an entry.
type indexed struct {
	waiting int  // jobs of After that are here
	open    int  // jobs of Deps that have not had their turn, or come after one that has not
	isOpen  bool // the same may be said of this one
	lent    rank // the highest of those that wait for it
	later   rank // the same, of those alone that come after it
	change  clock.Time
	listed  bool   // it may run: it belongs into a group
	grouped bool   // it is in one
	visited uint64 // the round in which it had its turn
}

// line is the jobs that hold or want one exclusive key.
type line struct {
	holder *entry
	all    *btree.BTreeG[*entry] // pending ones
	ready  *btree.BTreeG[*entry] // those that nothing else keeps from running
	head   *entry                // the first of these
}

const degree = 16

func turnTree() *btree.BTreeG[*entry] {
	return btree.NewG(degree, func(a, b *entry) bool { return a.turn(b) < 0 })
}

// NewQueue makes an empty queue of an executor with this capacity. It decides first come, first served, until
// [Queue.SetStrategy].
func NewQueue(capacity job.Resources) *Queue {
	q := &Queue{
		settings:  settings{strategy: FCFS.row(), weights: DefaultWeights(), capacity: capacity},
		elsewhere: map[string]HeldKey{},
		free:      newRoom(capacity),
		entries:   map[string]*entry{},
	}
	q.reset()
	return q
}

// reset empties the indexes.
func (q *Queue) reset() {
	q.after, q.deps, q.lines = map[string][]*entry{}, map[string][]*entry{}, map[string]*line{}
	q.groups, q.resumes, q.oldest = map[string]*btree.BTreeG[*entry]{}, turnTree(), oldest{}
	q.changes = btree.NewG(degree, func(a, b *entry) bool {
		return cmp.Or(cmp.Compare(a.change, b.change), cmp.Compare(a.c.Key, b.c.Key)) < 0
	})
}

// Add makes a job wait for its turn. A job that is known already is not changed.
func (q *Queue) Add(c Candidate) {
	if q.Known(c.Key) {
		return
	}
	c.Fresh = true
	e := &entry{c: &c, dev: c.devices()}
	q.fresh = append(q.fresh, e)
	q.link(e)
}

// Update takes in what changed of a known job: its priority, level, deadline, dependencies, wants. Whether it
// waits or runs here does not change, nor what it has while it runs. An unknown job is ignored.
func (q *Queue) Update(c Candidate) {
	e := q.entries[c.Key]
	if e == nil {
		return
	}
	q.unlink(e)
	old := e.c
	c.Displaced = old.Displaced
	if c.level() <= old.level() { // a job that has become more urgent may displace again what displaced it
		c.DisplacedBy, c.DisplacedAt = old.DisplacedBy, old.DisplacedAt
	}
	c.Promised, c.Fresh = old.Promised, old.Fresh
	c.Began, c.Ran, c.Leaving, c.For, c.ForAt = old.Began, old.Ran, old.Leaving, old.For, old.ForAt
	if e.state != pending {
		c.Want, c.Exclusive = old.Want, old.Exclusive
	}
	e.c, e.dev = &c, c.devices()
	q.link(e)
}

// Remove takes a job out, running or waiting; what it held is free again. An unknown job is ignored, as by all
// methods that take a key.
func (q *Queue) Remove(key string) {
	if e := q.entries[key]; e != nil {
		q.unlink(e)
	}
}

// Stop says that a running job was told to stop permanently. What it holds is free when it is removed.
func (q *Queue) Stop(key string) {
	if e := q.entries[key]; e != nil && e.state != pending {
		q.change(e, e.state, e.c.leaves(stopsDead, "", 0))
	}
}

// Suspended says that a running job has been suspended. It resumes by itself.
func (q *Queue) Suspended(key string, now clock.Time) {
	if e := q.entries[key]; e != nil && e.state == running {
		c := *e.c
		c.Leaving = suspends
		q.change(e, suspended, c.displaced(now))
	}
}

// Requeued says that a running job has been stopped, to run again later.
func (q *Queue) Requeued(key string) {
	if e := q.entries[key]; e != nil && e.state != pending {
		c := *e.c
		c.Leaving = requeues
		q.change(e, pending, c.displaced(q.now))
	}
}

// SetStrategy switches to another strategy and weights, by which the next decision is made. No job is lost or
// stopped by the switch. It sorts all that waits again.
func (q *Queue) SetStrategy(s Strategy, w Weights) {
	if q.strategy.name != s || q.weights != w {
		q.strategy, q.weights = s.row(), w
		q.rebuild()
	}
}

// SetOverride says for which emergency the present strategy decides instead of another, nil for none. It is recorded with
// what is decided, and changes no decision.
func (q *Queue) SetOverride(o *Override) { q.override = o }

// Override is what [Queue.SetOverride] was told.
func (q *Queue) Override() *Override { return q.override }

// SetHeld says which exclusive keys jobs hold at other brokers (rule J10), instead of what was said last.
func (q *Queue) SetHeld(keys []HeldKey) {
	old := q.elsewhere
	q.elsewhere = map[string]HeldKey{}
	for _, k := range keys {
		q.elsewhere[k.Exclusive] = k
	}
	for _, m := range []map[string]HeldKey{old, q.elsewhere} {
		for key := range m {
			if l := q.lines[key]; l != nil {
				q.elect(l, key)
			}
		}
	}
}

// rebuild makes all indexes again.
func (q *Queue) rebuild() {
	q.reset()
	all := make([]*entry, 0, len(q.entries))
	for _, e := range q.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return a.c.compare(b.c) })
	q.entries, q.on, q.leaving, q.waits = make(map[string]*entry, len(all)), nil, nil, 0
	q.free = newRoom(q.capacity)
	for _, e := range all {
		e.indexed = indexed{}
		q.link(e)
	}
}

// change moves a job to another state.
func (q *Queue) change(e *entry, s state, c *Candidate) {
	q.unlink(e)
	e.state, e.c = s, c
	q.link(e)
}

// Known reports whether the job waits or runs here.
func (q *Queue) Known(key string) bool { return q.entries[key] != nil }

// Levels returns the emergency levels with which a job stands here: its own, and what it was raised to. Both
// are 0 for a job that is not known.
func (q *Queue) Levels(key string) (level, raised int) {
	if e := q.entries[key]; e != nil {
		return e.c.Level, e.c.Raised
	}
	return 0, 0
}

// Free is what jobs leave of the capacity.
func (q *Queue) Free() job.Resources { return newRoom(q.free.Resources).Resources }

// Counts returns how many jobs run, or were told to leave, and how many wait.
func (q *Queue) Counts() (running, pending int) {
	return len(q.entries) - q.waits, q.waits
}

// Strategy returns the strategy that decides now.
func (q *Queue) Strategy() Strategy { return q.strategy.name }

// Snapshot returns what a decision at now rests on. It shares the queue's candidates, which are never changed.
func (q *Queue) Snapshot(now clock.Time) Snapshot {
	s := Snapshot{Now: max(now, q.now), Strategy: q.strategy.name, Override: q.override, Weights: q.weights, Capacity: q.capacity, Held: q.held}
	for _, e := range q.entries {
		switch e.state {
		case running:
			s.Running = append(s.Running, e.c)
		case suspended:
			s.Suspended = append(s.Suspended, e.c)
		default:
			s.Pending = append(s.Pending, e.c)
		}
	}
	s.Keys = q.heldKeys()
	return s.canonical()
}

// heldKeys lists what [Queue.SetHeld] was told, by key.
func (q *Queue) heldKeys() (out []HeldKey) {
	for _, k := range q.elsewhere {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b HeldKey) int { return cmp.Compare(a.Exclusive, b.Exclusive) })
	return out
}

// Why says why a job does not run now, "" when it does or is not known. It counts those that have their turn
// before it, so it costs what waits.
func (q *Queue) Why(key string) string {
	e := q.entries[key]
	if e == nil || !e.contends() {
		return ""
	}
	for _, l := range q.leaving {
		if l.c.For == key {
			return roomComes
		}
	}
	if why := q.unready(e); why != "" {
		return why
	}
	if e.state == pending && e.c.Exclusive != "" {
		var elsewhere *HeldKey
		if k, ok := q.elsewhere[e.c.Exclusive]; ok {
			elsewhere = &k
		}
		l := q.lines[e.c.Exclusive]
		if why := keyless(e.c, elsewhere, l.holder, l.head == e); why != "" {
			return why
		}
	}
	ahead := 0
	for _, f := range q.entries {
		if f.contends() && f.turn(e) < 0 {
			ahead++
		}
	}
	return q.noRoom(q.free.Resources, e, ahead)
}

// unready says why a pending job may not run whatever room there is, "" when it may.
func (q *Queue) unready(e *entry) string {
	return q.settings.unready(e, q.entries, func(f *entry) bool { return f.isOpen })
}
