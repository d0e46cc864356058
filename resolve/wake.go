package resolve

import (
	"maps"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// Next returns when something changes by itself: a job's urgency takes a step, or it can't meet its deadline
// any more. 0 is never. The caller is to decide again then.
func (q *Queue) Next() clock.Time {
	if e, ok := q.changes.Min(); ok {
		return e.change
	}
	return 0
}

// Retime says that it is another time than was thought, also an earlier one: the clock was put right. How
// long jobs have run stays what it was; the deadlines that have moved with the clock the caller is to update.
func (q *Queue) Retime(now clock.Time) {
	moved := now - q.now
	q.now = now
	for _, key := range slices.Sorted(maps.Keys(q.entries)) {
		e := q.entries[key]
		c := *e.c
		switch {
		case c.Began != 0:
			c.Began = max(c.Began+moved, 1)
		case c.Deadline == 0:
			continue // nothing of it goes by time
		}
		q.change(e, e.state, &c)
	}
}
