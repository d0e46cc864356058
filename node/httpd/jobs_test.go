package httpd

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Clients are told that a timeout has ended a job, whatever the program made of it.
func TestTimeoutIsShown(t *testing.T) {
	srv := &Server{}
	view := func(res job.Result) bool {
		spec := job.Spec{Command: "work"}
		r := job.New("j", spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
		rep := job.Report{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: 1}, Dot: clock.Dot{Actor: "a~1", Counter: 2}, Phase: job.Done, Result: &res}
		r = r.With(clock.Dot{Actor: "a~1", Counter: 3}, func(r *job.Record) {
			r.AddVerdict(job.Verdict{At: 2, Dot: clock.Dot{Actor: "a~1", Counter: 3}, Outcome: res.Outcome, Reason: res.Reason, Report: &rep})
		})
		return srv.view(&broker.Found{Record: r, First: true}, true).TimedOut
	}
	term, own := 143, 124
	require.True(t, view(job.Result{Outcome: job.Failed, Reason: job.TimeoutReason(2 * time.Second)}))
	require.True(t, view(job.Result{Outcome: job.Failed, ExitCode: &term, Reason: job.TimeoutReason(2*time.Second) + "; not kept: l, a link"}))
	require.False(t, view(job.Result{Outcome: job.Failed, ExitCode: &own, Reason: "exit code 124"}))
	require.False(t, view(job.Result{Outcome: job.Succeeded}))
}

// A refusal says that nothing was taken; where something may have been, it does not.
func TestRefusalsSayThatNothingWasTaken(t *testing.T) {
	for err, want := range map[error]string{
		fail(422, api.CodeInvalid, "args: too many"):       "args: too many; nothing was taken",
		fail(429, api.CodeBusy, "busy"):                    "busy; nothing was taken",
		fail(503, api.CodeDraining, "about to leave"):      "about to leave; nothing was taken",
		fail(507, api.CodeNoSpace, "full"):                 "full; nothing was taken",
		fail(503, api.CodeTooFew, "held by 1"):             "held by 1",
		fail(503, api.CodeUnavailable, "not answered yet"): "not answered yet",
		errors.New("odd"):                                  "odd",
	} {
		require.EqualError(t, nothingTaken(err), want)
	}
	require.NoError(t, nothingTaken(nil))
}
