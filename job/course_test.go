package job

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// What an executor has said of an attempt, and what became of the job since, tell how the attempt stands.
func TestCourses(t *testing.T) {
	spec := Spec{Command: "work"}
	base := New("j", spec, spec.Digest(), Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1 << 30})
	at := func(ms uint64) clock.Hybrid { return clock.Hybrid(1<<40 + ms<<16) }
	attempt := func(seq uint64) Attempt { return Attempt{Tenure: base.Owner.Tenure, Seq: seq} }
	said := func(by clock.Actor, seq uint64, phase Phase, res *Result) func(*Record) {
		return func(r *Record) {
			r.SetReport(Report{Attempt: attempt(seq), Dot: clock.Dot{Actor: by, Counter: seq}, At: at(seq), Phase: phase, Result: res})
		}
	}
	loads := func(by clock.Actor, seq uint64) func(*Record) {
		return func(r *Record) {
			r.SetLoading(Report{Attempt: attempt(seq), Dot: clock.Dot{Actor: by, Counter: seq}, At: at(seq), Phase: Queued})
		}
	}
	placed := func(by clock.Actor, seq uint64) func(*Record) {
		return func(r *Record) { r.Place = Placement{Attempt: attempt(seq), Broker: by.Broker(), Actor: by} }
	}
	ended := func(outcome Outcome) func(*Record) {
		return func(r *Record) {
			r.AddVerdict(Verdict{At: at(99), Dot: clock.Dot{Actor: "a~1", Counter: 99}, Outcome: outcome})
		}
	}
	accepted := func(by clock.Actor) func(*Record) {
		return func(r *Record) {
			rep, _ := r.Present()
			r.AddVerdict(Verdict{At: at(99), Dot: clock.Dot{Actor: by, Counter: 99}, Outcome: Succeeded, Report: &rep})
		}
	}
	back := func(r *Record) {
		said("b~1", 1, Done, &Result{Outcome: Failed, Reason: "no space"})(r)
		r.AddReturn(Return{Attempt: attempt(1), By: "b~1", At: at(1), Reason: "no space", Began: true})
	}
	result := func(outcome Outcome, reason string) *Result {
		return &Result{Outcome: outcome, Reason: reason, Started: 5, Finished: 6}
	}
	began := clock.TimeOf(at(1))
	one := func(state string, started, ended clock.Time, reason string) []Course {
		return []Course{{Attempt: attempt(1), Executor: "b", State: state, Started: started, Ended: ended, Reason: reason}}
	}
	kept := result(Failed, StoppedReason)
	preempted := func(r *Record) {
		dot := clock.Dot{Actor: "b~1"} // the first that it has said
		r.SetReport(Report{Attempt: attempt(1), Dot: dot, At: at(0), Phase: Queued})
		r.SetKept(Report{Attempt: attempt(1), Dot: dot, At: at(1), Phase: Done, Result: kept})
	}
	left := func(state string, started, ended clock.Time, reason string, of *Result) []Course {
		c := one(state, started, ended, reason)
		c[0].Kept = of
		return c
	}
	stopped := result(Failed, "stopped; l is a link")
	for name, x := range map[string]struct {
		edits []func(*Record)
		want  []Course
	}{
		"not placed":                       {nil, nil},
		"placed":                           {[]func(*Record){placed("b~1", 1)}, one(AttemptQueued, 0, 0, "")},
		"runs":                             {[]func(*Record){placed("b~1", 1), said("b~1", 1, Running, nil)}, one(AttemptRunning, began, 0, "")},
		"loads":                            {[]func(*Record){placed("b~1", 1), loads("b~1", 1)}, one(AttemptLoading, 0, 0, "")},
		"replaced while it loaded":         {[]func(*Record){loads("b~1", 1), placed("c~1", 2)}, []Course{{Attempt: attempt(1), Executor: "b", State: AttemptStopped}, {Attempt: attempt(2), Executor: "c", State: AttemptQueued}}},
		"stands still":                     {[]func(*Record){placed("b~1", 1), said("b~1", 1, Suspended, nil)}, one(AttemptSuspended, 0, 0, "")},
		"succeeded":                        {[]func(*Record){placed("b~1", 1), said("b~1", 1, Done, result(Succeeded, ""))}, one(AttemptSucceeded, 5, 6, "")},
		"failed":                           {[]func(*Record){placed("b~1", 1), said("b~1", 1, Done, result(Failed, "exit code 3"))}, one(AttemptFailed, 5, 6, "exit code 3")},
		"failed, whatever it is called":    {[]func(*Record){placed("b~1", 1), said("b~1", 1, Done, result(Failed, "stopped clock"))}, one(AttemptFailed, 5, 6, "stopped clock")},
		"cancelled before it started":      {[]func(*Record){placed("b~1", 1), ended(Cancelled)}, one(AttemptStopped, 0, 0, "")},
		"cancelled while it ran":           {[]func(*Record){placed("b~1", 1), said("b~1", 1, Running, nil), ended(Cancelled)}, one(AttemptStopping, began, 0, "")},
		"cancelled, and it left something": {[]func(*Record){placed("b~1", 1), said("b~1", 1, Done, stopped), ended(Cancelled)}, left(AttemptStopped, 5, 6, "l is a link", stopped)},
		"preempted, and waits":             {[]func(*Record){placed("b~1", 1), preempted}, left(AttemptQueued, 0, 0, "", kept)},
		"preempted, and runs again":        {[]func(*Record){placed("b~1", 1), preempted, said("b~1", 1, Running, nil)}, left(AttemptRunning, began, 0, "", kept)},
		"preempted, and has ended since":   {[]func(*Record){placed("b~1", 1), preempted, said("b~1", 1, Done, result(Succeeded, "")), accepted("b~1")}, one(AttemptSucceeded, 5, 6, "")},
		"preempted, and cancelled":         {[]func(*Record){placed("b~1", 1), preempted, ended(Cancelled)}, left(AttemptStopped, 0, 0, "", kept)},
		"preempted, and moved": {
			[]func(*Record){preempted, placed("b~1", 2), said("b~1", 2, Running, nil)},
			append(left(AttemptStopped, 5, 6, "", kept), Course{Attempt: attempt(2), Executor: "b", State: AttemptRunning, Started: clock.TimeOf(at(2))}),
		},
		"failed since its broker was lost":   {[]func(*Record){placed("b~1", 1), said("b~1", 1, Running, nil), ended(Failed)}, one(AttemptLost, began, 0, "")},
		"lost, and another one waits":        {[]func(*Record){said("b~1", 1, Running, nil), placed("c~1", 2)}, append(one(AttemptLost, began, 0, ""), Course{Attempt: attempt(2), Executor: "c", State: AttemptQueued})},
		"not started, and another one waits": {[]func(*Record){said("b~1", 1, Queued, nil), placed("c~1", 2)}, append(one(AttemptStopped, 0, 0, ""), Course{Attempt: attempt(2), Executor: "c", State: AttemptQueued})},
		"stopped, since another one ran": {
			[]func(*Record){said("b~1", 1, Stopped, nil), placed("c~1", 2), said("c~1", 2, Running, nil)},
			append(one(AttemptStopped, 0, began, ""), Course{Attempt: attempt(2), Executor: "c", State: AttemptRunning, Started: clock.TimeOf(at(2))}),
		},
		"returned, and then it succeeded there": {
			[]func(*Record){back, placed("b~1", 2), said("b~1", 2, Done, result(Succeeded, ""))},
			[]Course{
				{Attempt: attempt(1), Executor: "b", State: AttemptReturned, Ended: began, Reason: "no space", Began: true},
				{Attempt: attempt(2), Executor: "b", State: AttemptSucceeded, Started: 5, Ended: 6},
			},
		},
		"goes on in a later start": {[]func(*Record){placed("b~1", 1), said("b~1", 1, Running, nil), said("b~2", 1, Done, result(Succeeded, ""))}, one(AttemptSucceeded, 5, 6, "")},
		"tried again at one start": {
			[]func(*Record){placed("b~1", 3), said("b~1", 3, Running, nil)},
			[]Course{
				{Attempt: attempt(1), State: AttemptEarlier},
				{Attempt: attempt(2), State: AttemptEarlier},
				{Attempt: attempt(3), Executor: "b", State: AttemptRunning, Started: clock.TimeOf(at(3))},
			},
		},
		"tried again after a return": {
			[]func(*Record){back, placed("c~1", 4), said("c~1", 3, Done, result(Failed, "exit code 1"))},
			[]Course{
				{Attempt: attempt(1), Executor: "b", State: AttemptReturned, Ended: began, Reason: "no space", Began: true},
				{Attempt: attempt(2), State: AttemptEarlier},
				{Attempt: attempt(3), Executor: "c", State: AttemptFailed, Started: 5, Ended: 6, Reason: "exit code 1"},
				{Attempt: attempt(4), Executor: "c", State: AttemptQueued},
			},
		},
		"returned": {
			[]func(*Record){placed("b~1", 1), back},
			[]Course{{Attempt: attempt(1), Executor: "b", State: AttemptReturned, Ended: began, Reason: "no space", Began: true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := base.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *Record) {
				for _, edit := range x.edits {
					edit(r)
				}
			})
			require.Equal(t, x.want, r.Courses())
		})
	}
	many := base.With(clock.Dot{Actor: "a~1", Counter: 2}, placed("b~1", 1<<60)) // what others send is bounded
	require.Len(t, many.Courses(), maxEarlier+1)
}
