package job

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// The attempts in the table below: the present one is the second placement of its owner's
// tenure, at broker x.
var (
	tenure   = Tenure{Epoch: 1, At: 10, By: "a~1"}
	earlier  = Attempt{tenure, 1}
	present  = Attempt{tenure, 2}
	executor = clock.Actor("x~1")
)

func placed(r *Record) { r.Place = Placement{Attempt: present, Broker: "x", Actor: executor} }

func says(by clock.Actor, attempt Attempt, phase Phase) func(*Record) {
	return func(r *Record) {
		rep := Report{Attempt: attempt, Dot: clock.Dot{Actor: by, Counter: nextCount(r)}, At: 20, Phase: phase}
		if phase == Done {
			rep.Result = &Result{Outcome: Succeeded}
		}
		r.SetReport(rep)
	}
}

// nextCount is higher than the counters of all reports.
func nextCount(r *Record) (n uint64) {
	for _, rep := range r.Reports {
		n = max(n, rep.Dot.Counter)
	}
	return n + 1
}

func loads(by clock.Actor, attempt Attempt, phase Phase) func(*Record) {
	return func(r *Record) {
		r.SetLoading(Report{Attempt: attempt, Dot: clock.Dot{Actor: by, Counter: nextCount(r)}, At: 20, Phase: phase})
	}
}

func gaveBack(a Attempt) func(*Record) {
	return func(r *Record) { r.AddReturn(Return{Attempt: a, By: executor, At: 21, Reason: "no space left"}) }
}

func decided(outcome Outcome, at clock.Hybrid) func(*Record) {
	return func(r *Record) {
		r.AddVerdict(Verdict{At: at, Dot: clock.Dot{Actor: "a~1", Counter: uint64(at)}, Outcome: outcome})
	}
}

// This tests every case of State's comment (rule J2).
func TestState(t *testing.T) {
	for name, c := range map[string]struct {
		facts []func(*Record)
		want  State
	}{
		"not placed":                                       {nil, StatePending},
		"placed, not reported":                             {[]func(*Record){placed}, StateQueued},
		"the executor waits":                               {[]func(*Record){placed, says(executor, present, Queued)}, StateQueued},
		"it runs":                                          {[]func(*Record){placed, says(executor, present, Running)}, StateRunning},
		"it loads (J14)":                                   {[]func(*Record){placed, loads(executor, present, Queued)}, StateLoading},
		"it loads, and must not run twice (J8)":            {[]func(*Record){placed, loads(executor, present, Running)}, StateLoading},
		"it has loaded":                                    {[]func(*Record){placed, loads(executor, present, Queued), says(executor, present, Running)}, StateRunning},
		"it was suspended while it loaded":                 {[]func(*Record){placed, loads(executor, present, Queued), says(executor, present, Suspended)}, StateSuspended},
		"it was requeued while it loaded":                  {[]func(*Record){placed, loads(executor, present, Queued), says(executor, present, Queued)}, StateQueued},
		"another executor loads an earlier attempt":        {[]func(*Record){placed, loads("y~1", earlier, Queued), says(executor, present, Queued)}, StateQueued},
		"placed elsewhere while it loaded":                 {[]func(*Record){loads("y~1", earlier, Queued), placed}, StateQueued},
		"it is suspended":                                  {[]func(*Record){placed, says(executor, present, Suspended)}, StateSuspended},
		"a result without a verdict (A3)":                  {[]func(*Record){placed, says(executor, present, Done)}, StateRunning},
		"the executor's earlier attempt does not count":    {[]func(*Record){placed, says(executor, earlier, Running)}, StateQueued},
		"another executor's report does not count":         {[]func(*Record){placed, says("y~1", present, Running)}, StateQueued},
		"a report from before the executor's restart (I1)": {[]func(*Record){placed, says("x~0", present, Running)}, StateQueued},
		"its process has begun another start (K3)":         {[]func(*Record){placed, says("x~2", present, Suspended), says(executor, present, Running)}, StateSuspended},
		"a report of a job that is not placed":             {[]func(*Record){says(executor, Attempt{}, Running)}, StatePending},
		"returned (J12)":                                   {[]func(*Record){placed, says(executor, present, Done), gaveBack(present)}, StatePending},
		"placed again after a return":                      {[]func(*Record){placed, says("y~1", earlier, Done), gaveBack(earlier)}, StateQueued},
		"succeeded":                                        {[]func(*Record){placed, decided(Succeeded, 30)}, StateSucceeded},
		"failed":                                           {[]func(*Record){decided(Failed, 30)}, StateFailed},
		"cancelled while it runs":                          {[]func(*Record){placed, says(executor, present, Running), decided(Cancelled, 30)}, StateCancelled},
		"expired":                                          {[]func(*Record){decided(Expired, 30)}, StateExpired},
		"the earlier of two verdicts (J1)":                 {[]func(*Record){decided(Cancelled, 31), decided(Succeeded, 30)}, StateSucceeded},
		"the verdicts come in another order":               {[]func(*Record){decided(Succeeded, 30), decided(Cancelled, 31)}, StateSucceeded},
		"a report after the verdict":                       {[]func(*Record){placed, decided(Failed, 30), says(executor, present, Running)}, StateFailed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecord(t, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 10})
			for _, fact := range c.facts {
				fact(r)
			}
			require.Equal(t, c.want, r.State())
			require.Equal(t, c.want.Final(), r.Finished())
			require.Contains(t, States, c.want)
			require.False(t, r.Undecided().State().Final(), "without a verdict no state is final (A3)")
		})
	}
}

// Results that were not accepted, and verdicts that are not the first, stay
// visible.
func TestLateAndSuperseded(t *testing.T) {
	r := newRecord(t, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 10})
	says("y~1", earlier, Done)(r)
	says(executor, present, Done)(r)
	require.Empty(t, r.Late(), "nothing is late before the verdict")
	require.Nil(t, r.Accepted())

	won := r.Reports[0]
	r.AddVerdict(Verdict{At: 30, Dot: clock.Dot{Actor: "a~1", Counter: 9}, Outcome: Succeeded, Report: &won})
	require.Equal(t, executor, r.Accepted().Dot.Actor)
	require.Len(t, r.Late(), 1)
	require.Equal(t, clock.Actor("y~1"), r.Late()[0].Dot.Actor)
	require.Empty(t, r.Superseded())

	decided(Cancelled, 31)(r)
	require.Len(t, r.Superseded(), 1)
	require.Equal(t, Cancelled, r.Superseded()[0].Outcome)
	require.Equal(t, StateSucceeded, r.State())
}

// An attempt that failed in time, so that the job was tried again, was not late: the job did not run twice. One that failed
// while the one that counts ran was.
func TestRetriedIsNotLate(t *testing.T) {
	failed := func(r *Record, finished clock.Time) {
		r.SetReport(Report{Attempt: earlier, Dot: clock.Dot{Actor: "y~1", Counter: nextCount(r)}, At: 20, Phase: Done, Result: &Result{Outcome: Failed, Started: 1, Finished: finished}})
	}
	for _, end := range []Outcome{Succeeded, Failed, Cancelled} {
		for name, c := range map[string]struct {
			try, late int
			finished  clock.Time
			at        clock.Hybrid
		}{"retried": {1, 0, 5, 30}, "no retry": {0, 1, 5, 30}, "too late": {1, 1, 7, 10}} {
			r := newRecord(t, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 10})
			placed(r)
			r.Place.Try = c.try
			failed(r, c.finished)
			if end == Cancelled {
				decided(end, c.at)(r)
			} else {
				won := Report{Attempt: present, Dot: clock.Dot{Actor: executor, Counter: nextCount(r)}, At: 25, Phase: Done, Result: &Result{Outcome: end, Started: 6, Finished: 9}}
				r.SetReport(won)
				r.AddVerdict(Verdict{At: 30, Dot: clock.Dot{Actor: "a~1", Counter: 9}, Outcome: end, Report: &won})
			}
			require.Len(t, r.Late(), c.late, "%s, %s", name, end)
		}
	}
}

// After a verdict that accepts no result, such as a cancellation, every result is late.
func TestLateWithoutAcceptedResult(t *testing.T) {
	r := newRecord(t, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 10})
	decided(Cancelled, 30)(r)
	says(executor, present, Done)(r)
	require.Nil(t, r.Accepted())
	require.Len(t, r.Late(), 1)
	require.NotNil(t, r.Left())

	// What one that was stopped has left is no result that came too late (rule J13).
	r.Reports[0].Result = &Result{Outcome: Failed, Reason: StoppedReason + "; l is a link"}
	require.Empty(t, r.Late())
	require.NotNil(t, r.Left())
}

// Records are ordered by time and actor of their earliest creation: a total order.
func TestBefore(t *testing.T) {
	at := func(h clock.Hybrid, a clock.Actor) *Record {
		return newRecord(t, Stamp{Dot: clock.Dot{Actor: a, Counter: 1}, At: h})
	}
	require.True(t, at(1, "b~1").Before(at(2, "a~1")))
	require.False(t, at(2, "a~1").Before(at(1, "b~1")))
	require.True(t, at(1, "a~1").Before(at(1, "b~1")))
	require.False(t, at(1, "a~1").Before(at(1, "a~1")))
	require.Equal(t, clock.Hybrid(2), at(2, "a~1").Submitted())
}

// Different attempts have different fencing tokens (rule J4).
func TestAttemptTokens(t *testing.T) {
	seen := map[string]Attempt{}
	for _, epoch := range []uint64{1, 2, 12} {
		for _, seq := range []uint64{1, 2, 21} {
			for _, at := range []clock.Hybrid{1, 0x11} {
				for _, by := range []clock.Actor{"a~1", "1.a~1"} {
					a := Attempt{Tenure{epoch, at, by}, seq}
					other, dup := seen[a.Token()]
					require.False(t, dup, "%v and %v share %s", a, other, a.Token())
					seen[a.Token()] = a
				}
			}
		}
	}
	require.True(t, Attempt{}.IsZero())
	require.Negative(t, Attempt{Tenure{1, 9, "z"}, 9}.Compare(Attempt{Tenure{2, 1, "a"}, 1}), "a newer epoch beats every older attempt")
}
