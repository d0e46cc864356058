package job

// mergeKept returns the report of the later attempt, and of one attempt the later one, and whether that is b's.
func mergeKept(a, b *Report) (*Report, bool) {
	if b == nil || a != nil && a.compare(*b) >= 0 {
		return a, false
	}
	return b, true
}

// SetKept notes what an attempt had written that was stopped and is to run again, as that of a preempted job (rule J13). It
// takes the place of what an earlier one had left, and is no result: it counts until the job has one. It may only be called
// inside [Record.With].
func (r *Record) SetKept(rep Report) { r.Kept, _ = mergeKept(r.Kept, &rep) }
