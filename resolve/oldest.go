package resolve

import "github.com/urban-compute/ucp/clock"

// oldest finds the pending job of each level that was submitted first. Jobs mostly come in the order in which they were
// submitted, so each level has a heap, into which that is an append; who has gone, or has another level now, is dropped when it
// would be the first, or when those are more than half.
type oldest [maxLevel + 1][]submission

// submission is a pending job as it was when it was linked.
type submission struct {
	at clock.Hybrid
	e  *entry
}

// stale reports whether the job is no longer what it was.
func (a submission) stale(q *Queue, level int) bool {
	return a.e.state != pending || a.e.c.Arrived != a.at || a.e.c.level() != level || q.entries[a.e.c.Key] != a.e
}

// add notes a pending job.
func (o *oldest) add(q *Queue, e *entry) {
	level := e.c.level()
	h := append(o[level], submission{e.c.Arrived, e})
	for i := len(h) - 1; i > 0 && h[i].at < h[(i-1)/2].at; i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
	o[level] = compacted(q, h, level)
}

// compacted is a heap without who is stale, or there twice, when that is most of it.
func compacted(q *Queue, h []submission, level int) []submission {
	if len(h) <= 2*q.waits+64 {
		return h
	}
	kept, seen := make([]submission, 0, q.waits), make(map[*entry]bool, q.waits)
	for _, a := range h {
		if !seen[a.e] && !a.stale(q, level) {
			seen[a.e] = true
			kept = append(kept, a)
		}
	}
	for i := len(kept)/2 - 1; i >= 0; i-- {
		sink(kept, i)
	}
	return kept
}

// first is when the earliest pending job of a level was submitted; 0 is that there is none.
func (o *oldest) first(q *Queue, level int) clock.Hybrid {
	h := compacted(q, o[level], level)
	for len(h) > 0 && h[0].stale(q, level) {
		n := len(h) - 1
		h[0], h[n] = h[n], submission{}
		h = h[:n]
		sink(h, 0)
	}
	o[level] = h
	if len(h) == 0 {
		return 0
	}
	return h[0].at
}

// sink lets one fall to its place in a heap.
func sink(h []submission, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1].at < h[c].at {
			c++
		}
		if h[i].at <= h[c].at {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

// Levels is something for each emergency level, from 0, none, to 4, critical.
type Levels [maxLevel + 1]clock.Hybrid

// Oldest says for each level when the job was submitted that has waited for its turn here for longest; 0 is that none waits.
func (q *Queue) Oldest() (out Levels) {
	for level := range out {
		out[level] = q.oldest.first(q, level)
	}
	return out
}
