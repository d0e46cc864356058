package job

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// StartShown is how long an attempt that its executor was told to run may be without its program before the record says so
// (rule J14): most modules are ready sooner, and what is told is written and synced. Until then the record says that it
// runs, and nobody but its executor knows whether it does.
const StartShown = 500 * time.Millisecond

// startHeard is how long the others do not take it for running: as long, and a second for the word to come.
const startHeard = StartShown + time.Second

// clocksDiffer is how far the clock of an executor may be ahead of another's without that being put right (rule T2).
const clocksDiffer = 2 * time.Second

// ToldToRun returns the report by which the placed attempt was told to run, if the record does not say that its program has
// begun: it does say so of one that has loaded (rule J14), or has stood still, and of one that has ended.
func (r *Record) ToldToRun() (rep Report, ok bool) {
	if rep, ok = r.Present(); !ok || rep.Phase != Running || r.State() != StateRunning {
		return rep, false
	}
	loaded := r.Loading != nil && r.Loading.Attempt == rep.Attempt
	resumed := slices.ContainsFunc(r.Pauses, func(p Pause) bool {
		return p.Mode == Suspend && p.By.Broker() == rep.Dot.Actor.Broker() && p.To >= clock.TimeOf(rep.At)-clock.Time(StartShown/time.Millisecond)
	})
	return rep, !loaded && !resumed
}

// StartsUntil is until when nobody but the executor can say whether an attempt runs that the record says runs; 0 if the record
// says more, or that time is over.
func (r *Record) StartsUntil(now clock.Time) clock.Time {
	rep, ok := r.ToldToRun()
	at := clock.TimeOf(rep.At)
	until := at + clock.Time(startHeard/time.Millisecond)
	if !ok || now >= until || at > now+clock.Time(clocksDiffer/time.Millisecond) {
		return 0
	}
	return until
}

// Recorded lists the states that records have of those that are shown: one that starts is recorded as running.
func Recorded(shown []State) []State {
	if slices.Contains(shown, StateStarting) && !slices.Contains(shown, StateRunning) {
		return append(slices.Clone(shown), StateRunning)
	}
	return shown
}
