package job

import (
	"cmp"

	"github.com/urban-compute/ucp/clock"
)

// Loading names the report that says of its attempt that its program has not begun: its broker is getting the module
// ready, which may take longer than the job, or the module waits for its turn to be compiled (rule J14). The report has the
// phase Queued, by which a broker of an earlier version goes on; of a job that must not run twice (rule J8) it has the phase
// Running.
type Loading struct {
	Attempt Attempt   `codec:"attempt"`
	Dot     clock.Dot `codec:"dot"` // of the report
}

func (l *Loading) valid() bool {
	return l == nil || l.Attempt.valid() && !l.Dot.IsZero() && l.Dot.Counter <= clock.MaxCounter
}

// mergeLoading returns the mark of the later attempt, and of one attempt that of the later report, and whether that is b's.
func mergeLoading(a, b *Loading) (*Loading, bool) {
	switch {
	case b == nil:
		return a, false
	case a == nil:
		return b, true
	}
	if cmp.Or(b.Attempt.Compare(a.Attempt), cmp.Compare(b.Dot.Counter, a.Dot.Counter), cmp.Compare(b.Dot.Actor, a.Dot.Actor)) > 0 {
		return b, true
	}
	return a, false
}

// SetLoading puts a report into the slot of its dot's actor, as SetReport does, and says that its attempt loads. It may only
// be called inside [Record.With].
func (r *Record) SetLoading(rep Report) {
	r.SetReport(rep)
	r.Loading, _ = mergeLoading(r.Loading, &Loading{Attempt: rep.Attempt, Dot: rep.Dot})
}

// says reports whether a report is the one that says that its attempt loads.
func (l *Loading) says(rep *Report) bool {
	return l != nil && rep.Dot == l.Dot && (rep.Phase == Queued || rep.Phase == Running)
}

// Loads reports whether the placed attempt has been started by its executor, and its program has not begun, since its
// module is not ready.
func (r *Record) Loads() bool {
	rep, ok := r.Present()
	return ok && r.Loading.says(&rep)
}
