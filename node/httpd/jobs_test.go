package httpd

import (
	"errors"
	"net/http/httptest"
	"strings"
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
		require.EqualError(t, new(Server).nothingTaken(err), want)
	}
	require.NoError(t, new(Server).nothingTaken(nil))
}

// What people write in YAML without quotes is text where the spec holds text.
func TestYAMLNeedsNoQuotesForText(t *testing.T) {
	r := httptest.NewRequest("POST", "/v1/jobs", strings.NewReader("driver: process\ncommand: true\nargs: [1, yes, 2.50]\nenv: {N: 7, ON: on}\nlabels: {district: 7}\nconstraints: [district=7]\n"))
	r.Header.Set("Content-Type", "application/yaml")
	spec, err := readSpec(httptest.NewRecorder(), r)
	require.NoError(t, err)
	require.Equal(t, "true", spec.Command)
	require.Equal(t, []string{"1", "yes", "2.50"}, spec.Args)
	require.Equal(t, map[string]string{"N": "7", "ON": "on"}, spec.Env)
	require.Equal(t, map[string]string{"district": "7"}, spec.Labels)
}

// A list is asked for what it can be asked for, and for nothing that is written wrong.
func TestWhatListsAreAskedFor(t *testing.T) {
	read := func(query string) (broker.List, error) {
		return readList(httptest.NewRequest("GET", "/v1/jobs?"+query, nil))
	}
	in, err := read("state=failed,expired&label=a%3D1&label=b&name=p*&broker=n1&emergency=flood&urgent=1&paused=1&since=2026-01-31T15:04:05Z&limit=7")
	require.NoError(t, err)
	require.Equal(t, []job.State{job.StateFailed, job.StateExpired}, in.States)
	require.Len(t, in.Labels, 2)
	require.Equal(t, clock.At(time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)), in.Since)
	require.Equal(t, []any{"p*", "n1", "flood", true, true, 7}, []any{in.Name, in.Broker, in.Emergency, in.Urgent, in.Paused, in.Limit})
	for query, want := range map[string]string{"state=asleep": "?state=asleep", "label=%21": "?label", "since=now": "?since=now", "after=%3F": "?after", "limit=0": "?limit=0"} {
		_, err := read(query)
		require.ErrorContains(t, err, want)
	}
}

// What was just told to run is not said to run, nor since when it does; an earlier attempt is shown as what it is.
func TestWhatStarts(t *testing.T) {
	srv := &Server{}
	spec := job.Spec{Command: "work"}
	r := job.New("j", spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
	report := func(at clock.Actor, seq, counter uint64) job.Report {
		return job.Report{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: seq}, Dot: clock.Dot{Actor: at, Counter: counter}, At: clock.HybridAt(time.Unix(9, 0)), Phase: job.Running}
	}
	earlier, now := report("b~1", 1, 1), report("a~1", 2, 2)
	r = r.With(now.Dot, func(r *job.Record) {
		r.Place = job.Placement{Broker: "a", Actor: "a~1", Attempt: now.Attempt}
		r.SetReport(earlier)
		r.SetReport(now)
	})
	shown := func(starting bool) (job.State, string, bool, bool) {
		j := srv.view(&broker.Found{Record: r, First: true, Starting: starting}, true)
		require.Len(t, j.Attempts, 2)
		require.Equal(t, job.AttemptLost, j.Attempts[0].State)
		return j.State, j.Attempts[1].State, j.StartedAt == 0, j.Attempts[1].StartedAt == 0
	}
	state, attempt, none, noneThere := shown(true)
	require.Equal(t, job.StateStarting, state)
	require.Equal(t, job.AttemptStarting, attempt)
	require.True(t, none && noneThere)
	state, attempt, none, noneThere = shown(false)
	require.Equal(t, job.StateRunning, state)
	require.Equal(t, job.AttemptRunning, attempt)
	require.False(t, none || noneThere)
}
