package resolve

import "github.com/urban-compute/ucp/clock"

// Next returns when something changes by itself: a job's urgency takes a step, or it can't meet its deadline
// any more. 0 is never. The caller is to decide again then.
func (q *Queue) Next() clock.Time {
	if e, ok := q.changes.Min(); ok {
		return e.change
	}
	return 0
}
