package job

import (
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// State is the state of a job as people see it.
type State string

// The states of a job.
const (
	StatePending   State = "pending"   // no broker has been found that can run it
	StateQueued    State = "queued"    // it is placed, and waits there for free resources or its inputs
	StateStarting  State = "starting"  // its broker has started it, and whether its program has begun is not known yet; no record says so, see [Record.ToldToRun]
	StateLoading   State = "loading"   // its broker has started it, and its module is not ready yet: it is compiled, or waits for that
	StateRunning   State = "running"   // it runs
	StateSuspended State = "suspended" // it is stopped, but keeps its memory
	StateSucceeded State = "succeeded" // a result with exit code 0 was accepted; this state and those below are final
	StateFailed    State = "failed"    // a non-zero exit, a timeout, a crash, a failed predecessor, or "may have run"; the reason says which
	StateCancelled State = "cancelled" // somebody asked for it
	StateExpired   State = "expired"   // its deadline passed, or can't be met any more
)

// States lists all states in the order of a job's life.
var States = []State{StatePending, StateQueued, StateStarting, StateLoading, StateRunning, StateSuspended, StateSucceeded, StateFailed, StateCancelled, StateExpired}

// Final reports whether a job in this state has ended.
func (s State) Final() bool {
	switch s {
	case StateSucceeded, StateFailed, StateCancelled, StateExpired:
		return true
	}
	return false
}

// State derives the job's state from the record alone (rule J2), so that all brokers
// with the same record return the same state. In this order:
//
//  1. The sealed verdict decides, or the first one (rules F2, J1).
//  2. A job that is not placed is pending.
//  3. A job whose placed attempt was returned is pending, too (rule J12).
//  4. The executor's report on the present attempt says queued, loading (rule J14), running or
//     suspended; a result without a verdict still counts as running (rule A3).
//  5. A job that is placed but has no such report is queued.
func (r *Record) State() State {
	if v := r.Verdict(); v != nil {
		return State(v.Outcome)
	}
	if r.Place.IsZero() {
		return StatePending
	}
	if _, back := r.Returned(); back {
		return StatePending
	}
	rep, ok := r.Present()
	switch {
	case ok && r.Loading.says(&rep):
		return StateLoading
	case !ok || rep.Phase == Queued || rep.Phase == Stopped:
		return StateQueued
	case rep.Phase == Suspended:
		return StateSuspended
	}
	return StateRunning
}

// Finished reports whether the job has a verdict. A finished record never
// becomes unfinished again: merging only adds verdicts.
func (r *Record) Finished() bool { return len(r.Verdicts) > 0 }

// Verdict returns the verdict that decides, or nil if there is none: the sealed one (rule F2), or else the
// first (rule J1).
func (r *Record) Verdict() *Verdict {
	if v := r.sealed(); v != nil {
		return v
	}
	if len(r.Verdicts) == 0 {
		return nil
	}
	return &r.Verdicts[0]
}

// Present returns the placed executor's report on the placed attempt; ok is false if there is none. Its process may have
// begun another start meanwhile (rule K3): then the latest one's counts.
func (r *Record) Present() (rep Report, ok bool) {
	for _, x := range r.Reports { // sorted by actor, and so by start
		if x.Attempt == r.Place.Attempt && x.Dot.Actor.Broker() == r.Place.Broker && x.Dot.Actor >= r.Place.Actor {
			rep, ok = x, true
		}
	}
	return rep, ok
}

// Started reports whether the placed attempt runs, or has ended by itself: it neither waits nor loads, nor was it stopped or
// returned. One that must not run twice has started when its executor was told to (rule J8).
func (r *Record) Started() bool {
	rep, ok := r.Present()
	_, back := r.Returned()
	return ok && !back && rep.Phase != Queued && rep.Phase != Stopped
}

// Accepted returns the report whose result the deciding verdict accepted, nil
// when the job has not ended or ended without a result.
func (r *Record) Accepted() *Report {
	if v := r.Verdict(); v != nil {
		return v.Report
	}
	return nil
}

// Late returns the reports with a result that is not the accepted one: results
// that came too late and were rejected. Attempts that were returned or stopped have none, and one that failed in time,
// so that the job was tried again, was not late.
func (r *Record) Late() []Report {
	return slices.DeleteFunc(r.others(), func(rep Report) bool { return rep.Result.wasStopped() || r.retried(&rep) })
}

// retried reports whether an attempt that has failed was over before the one that counts began, in a job that was tried
// again since an attempt had failed (rule J9).
func (r *Record) retried(rep *Report) bool {
	if r.Place.Try == 0 || rep.Result == nil || rep.Result.Outcome != Failed {
		return false
	}
	if acc := r.Accepted(); acc != nil {
		return acc.Result != nil && rep.Attempt.Compare(acc.Attempt) < 0 && rep.Result.Finished <= acc.Result.Started
	}
	return rep.Attempt.Compare(r.Place.Attempt) < 0 && rep.At < r.Verdict().At
}

// others returns what is known of the ends of attempts of a job that has ended, but for the accepted one and those that were
// returned.
func (r *Record) others() []Report {
	if !r.Finished() {
		return nil
	}
	acc := r.Accepted()
	var out []Report
	for _, rep := range r.Reports {
		if _, back := r.ReturnOf(rep.Attempt); back {
			continue // it is no result
		}
		if rep.Phase == Done && (acc == nil || rep.Dot.Actor != acc.Dot.Actor || rep.Attempt != acc.Attempt && !acc.Attempt.IsZero()) {
			out = append(out, rep)
		}
	}
	return out
}

// Left returns the report of the latest attempt of which something is kept though it has no result that counts (rule J13):
// it was stopped to run again, and has not ended since; or it was stopped, or ended, after its job had ended without a
// result, as a cancelled one does. It is nil if there is none.
func (r *Record) Left() *Report {
	if r.Accepted() != nil {
		return nil
	}
	left := r.Kept
	for _, rep := range r.others() {
		if left == nil || rep.compare(*left) > 0 {
			left = &rep
		}
	}
	return left
}

// Superseded returns the verdicts that do not decide.
func (r *Record) Superseded() (out []Verdict) {
	for _, v := range r.Verdicts {
		if v.Dot != r.Verdict().Dot {
			out = append(out, v)
		}
	}
	return out
}

// Submitted is when the job was first created.
func (r *Record) Submitted() clock.Hybrid { return r.Created[0].At }

// Before orders records by arrival: (Hybrid, actor) of their earliest creation,
// the total order that extends happens-before.
func (r *Record) Before(s *Record) bool {
	a, b := r.Created[0], s.Created[0]
	if a.At != b.At {
		return a.At < b.At
	}
	return a.Dot.Compare(b.Dot) < 0
}

// Decided returns the record as it stands with the verdict of this dot, which it has, as the one that decides: as
// it may be shown to whoever knows that this one is firm (rule R4).
func (r *Record) Decided(verdict clock.Dot) *Record {
	if r.Verdict().Dot == verdict {
		return r
	}
	c := *r
	c.Seal = &Seal{Dot: verdict, Verdict: verdict}
	return &c
}

// Undecided returns the record as it stands without its verdicts: what may be
// shown of it while the verdict is not yet durable enough (rule A3).
func (r *Record) Undecided() *Record {
	if !r.Finished() {
		return r
	}
	c := *r
	c.Verdicts, c.Seal = nil, nil
	return &c
}
