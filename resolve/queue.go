package resolve

import (
	"github.com/google/btree"

	"github.com/urban-compute/ucp/job"
)

// Queue keeps the jobs of one executor in the order of their turn, so that a
// decision costs what it starts and not what waits. It decides as [Plan] does.
// One goroutine owns it.
type Queue struct {
	capacity job.Resources
	free     job.Resources
	running  map[string]Candidate
	pending  map[string]Candidate
	turn     *btree.BTreeG[Candidate] // of pending
}

// NewQueue makes an empty queue of an executor with this capacity.
func NewQueue(capacity job.Resources) *Queue {
	return &Queue{
		capacity: capacity, free: capacity,
		running: map[string]Candidate{}, pending: map[string]Candidate{},
		turn: btree.NewG(16, func(a, b Candidate) bool { return a.compare(b) < 0 }),
	}
}

// Add makes a job wait for its turn. One that is known already is not changed.
func (q *Queue) Add(c Candidate) {
	if q.Known(c.Key) {
		return
	}
	q.pending[c.Key] = c
	q.turn.ReplaceOrInsert(c)
}

// Remove takes a job out, running or waiting; what it held is free again.
func (q *Queue) Remove(key string) {
	if c, ok := q.running[key]; ok {
		delete(q.running, key)
		q.free = q.free.Plus(c.Want)
	}
	if c, ok := q.pending[key]; ok {
		delete(q.pending, key)
		q.turn.Delete(c)
	}
}

// Known reports whether the job waits or runs here.
func (q *Queue) Known(key string) bool {
	_, runs := q.running[key]
	_, waits := q.pending[key]
	return runs || waits
}

// Decide starts what can start now: the keys, in order. They count as running
// from here on.
func (q *Queue) Decide() (start []string) {
	for {
		c, ok := q.turn.Min()
		if !ok || !q.free.Fits(c.Want) {
			return start
		}
		q.turn.DeleteMin()
		delete(q.pending, c.Key)
		q.running[c.Key] = c
		q.free = q.free.Minus(c.Want)
		start = append(start, c.Key)
	}
}

// Why says why a job does not run now, "" when it does or is not known.
func (q *Queue) Why(key string) string {
	c, ok := q.pending[key]
	if !ok {
		return ""
	}
	ahead := 0
	q.turn.AscendLessThan(c, func(Candidate) bool { ahead++; return true })
	if ahead > 0 {
		return behind(ahead)
	}
	return q.free.Lacks(c.Want)
}

// Free is what running jobs leave of the capacity.
func (q *Queue) Free() job.Resources { return q.free }

// Counts returns how many jobs run and how many wait.
func (q *Queue) Counts() (running, pending int) { return len(q.running), len(q.pending) }
