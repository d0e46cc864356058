package job

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// Of a job that was just told to run nobody but its executor knows whether it does, unless the record says more (rule J14).
func TestStartsUntil(t *testing.T) {
	const executor = clock.Actor("b~1")
	began := time.UnixMilli(1_000_000)
	told := Report{Attempt: Attempt{Seq: 1}, Dot: clock.Dot{Actor: executor, Counter: 2}, At: clock.HybridAt(began), Phase: Running}
	runs := func(edit func(r *Record)) *Record {
		r := &Record{ID: "j", Place: Placement{Broker: "b", Actor: executor, Attempt: told.Attempt}, Reports: []Report{told}}
		if edit != nil {
			edit(r)
		}
		return r
	}
	paused := func(mode Preemption, by clock.Actor, to clock.Time) *Record {
		return runs(func(r *Record) { r.Pauses = []Pause{{By: by, From: 1, To: to, Mode: mode}} })
	}
	until := clock.At(began.Add(1500 * time.Millisecond))
	for name, c := range map[string]struct {
		r     *Record
		later time.Duration
		want  clock.Time
	}{
		"told now":                         {runs(nil), 0, until},
		"almost heard of":                  {runs(nil), 1499 * time.Millisecond, until},
		"it would have been heard of":      {runs(nil), 1500 * time.Millisecond, 0},
		"its clock is a little ahead":      {runs(nil), -2 * time.Second, until},
		"its clock is wrong":               {runs(nil), -2001 * time.Millisecond, 0},
		"it waits":                         {runs(func(r *Record) { r.Reports[0].Phase = Queued }), 0, 0},
		"it has ended":                     {runs(func(r *Record) { r.Reports[0].Phase = Done }), 0, 0},
		"not placed any more":              {runs(func(r *Record) { r.Place.Attempt.Seq = 2 }), 0, 0},
		"the job is cancelled":             {runs(func(r *Record) { r.Verdicts = []Verdict{{Outcome: Cancelled}} }), 0, 0},
		"it loads":                         {runs(func(r *Record) { r.Loading = &Loading{told.Attempt, told.Dot} }), 0, 0},
		"it has loaded":                    {runs(func(r *Record) { r.Loading = &Loading{told.Attempt, clock.Dot{Actor: executor, Counter: 1}} }), 0, 0},
		"an earlier attempt has loaded":    {runs(func(r *Record) { r.Loading = &Loading{Attempt{}, clock.Dot{Actor: executor, Counter: 1}} }), 0, until},
		"it goes on":                       {paused(Suspend, executor, clock.At(began)), 0, 0},
		"it begins again after it stopped": {paused(Requeue, executor, clock.At(began)), 0, until},
		"it had stood still elsewhere":     {paused(Suspend, "c~1", clock.At(began)), 0, until},
		"it stood still long before":       {paused(Suspend, executor, clock.At(began.Add(-time.Minute))), 0, until},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, c.r.StartsUntil(clock.At(began.Add(c.later))))
		})
	}
}

// Who asks for those that start is shown what records call running.
func TestRecorded(t *testing.T) {
	require.Equal(t, []State{StateStarting, StateRunning}, Recorded([]State{StateStarting}))
	require.Equal(t, []State{StateStarting, StateRunning}, Recorded([]State{StateStarting, StateRunning}))
	require.Equal(t, []State{StateQueued}, Recorded([]State{StateQueued}))
	require.Empty(t, Recorded(nil))
}
