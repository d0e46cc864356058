package main

import (
	"cmp"
	"slices"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// stay is a time that a job spent at one broker, in one place of it: in a slot, where it ran, or in the queue.
type stay struct {
	broker  string // "" while none has it
	queue   bool
	attempt string // its token; "" where there is none, or it is not known
	spans   []span // the earliest first; between two of them it was suspended
}

// span is a time in which nothing changed.
type span struct {
	name     string // what it did: a state of jobs, mostly
	from, to clock.Time
	note     string // what is not known of it, or how it ended
}

func (s *stay) from() clock.Time { return s.spans[0].from }
func (s *stay) to() clock.Time   { return s.spans[len(s.spans)-1].to }

// What is said of a span of which not all is known.
const (
	beganUnknown = "when it began to run is not known: it began then at the earliest"
	endUnknown   = "when it ended there is not known: it is drawn until what is known next"
	goesOnStill  = "it goes on"
)

// staying follows a job through its attempts.
type staying struct {
	j    *api.Job
	asOf clock.Time
	free clock.Time // since when it is in no slot
	out  []stay
}

// staysOf says where a job was, and when, by what is known of it.
func staysOf(j *api.Job) []stay {
	s := &staying{j: j, asOf: clock.At(j.AsOf), free: j.SubmittedAt}
	placed := inTime(j.Attempts)
	for i := range placed {
		next := clock.Time(0)
		if i+1 < len(placed) {
			next = placed[i+1].StartedAt
		}
		s.attempt(&placed[i], next)
	}
	s.rest(placed)
	return s.out
}

// inTime are the attempts that have a place, in the order in which they began: after a split that need not be the order of their numbers.
// One of which it is not known stands behind the one before it.
func inTime(attempts []api.Attempt) []api.Attempt {
	var out []api.Attempt
	began := map[string]clock.Time{}
	last := clock.Time(0)
	for _, a := range attempts {
		if a.Executor != "" {
			last = cmp.Or(a.StartedAt, a.EndedAt, last)
			began[a.Attempt+"@"+a.Executor] = last
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b api.Attempt) int {
		return cmp.Compare(began[a.Attempt+"@"+a.Executor], began[b.Attempt+"@"+b.Executor])
	})
	return out
}

// end is until when what is open is drawn.
func (s *staying) end() clock.Time {
	if s.j.State.Final() && s.j.FinishedAt != 0 {
		return s.j.FinishedAt
	}
	return max(s.asOf, s.j.SubmittedAt)
}

// attempt adds one attempt, and the wait before it. Next is when the one after it began, 0 where there is none.
func (s *staying) attempt(a *api.Attempt, next clock.Time) {
	to, note := a.EndedAt, a.Reason
	switch {
	case to != 0:
	case goesOn(a):
		to, note = s.asOf, goesOnStill
	case next != 0:
		to, note = next, endUnknown
	default:
		to, note = s.end(), endUnknown
	}
	gaps := s.gaps(a.Executor, to)
	from := a.StartedAt
	switch {
	case len(gaps) > 0 && (from == 0 || from > gaps[0].From): // it is when it went on
		from = min(s.free, gaps[0].From)
	case from == 0 && a.State == job.AttemptReturned, from == 0 && goesOn(a):
		s.wait(a, to, note)
		return
	case from == 0:
		return // it has waited there for an unknown time, as it then did elsewhere
	default:
		s.wait(a, from, "")
	}
	in := stay{broker: a.Executor, attempt: a.Attempt}
	state := a.State
	if goesOn(a) {
		state = job.AttemptRunning
	}
	at, lost := from, a.State == job.AttemptLost
	for _, p := range gaps {
		in.spans = append(in.spans, span{name: job.AttemptRunning, from: at, to: max(at, p.From), note: "then suspended for " + string(p.For)})
		if at = p.To; at == 0 || lost && a.StartedAt < at {
			at = 0 // it stands still, or was lost while it did: then its pause ends where it runs again
			break
		}
	}
	if at != 0 {
		in.spans = append(in.spans, span{name: state, from: at, to: max(at, to), note: note})
	}
	if from != a.StartedAt {
		in.spans[0].note = beganUnknown + "; " + in.spans[0].note
	}
	s.out = append(s.out, in)
	s.free = max(s.free, in.to())
}

// gaps are the times before to in which an attempt at a broker stood still there, the earliest first.
func (s *staying) gaps(broker string, to clock.Time) (out []api.Pause) {
	for _, p := range s.j.Pauses {
		if p.At == broker && p.Mode == job.Suspend && p.From >= s.free && p.From <= to {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b api.Pause) int { return cmp.Compare(a.From, b.From) })
	return out
}

// wait adds the time in the queue of a broker until then.
func (s *staying) wait(a *api.Attempt, to clock.Time, note string) {
	if to <= s.free {
		return
	}
	name := job.AttemptQueued
	switch {
	case a.State == job.AttemptLoading, a.State == job.AttemptStarting, a.State == job.AttemptReturned:
		name = a.State
	}
	from := s.free
	for _, p := range s.j.Pauses { // that have put it back into the queue
		if p.Mode == job.Requeue && p.From >= s.free && p.From < to {
			note = "it had made room for " + string(p.For) + " at " + p.At
		}
	}
	s.out = append(s.out, stay{broker: a.Executor, queue: true, attempt: a.Attempt, spans: []span{{name: name, from: from, to: to, note: note}}})
	s.free = to
}

// rest adds the wait behind the last attempt, where there is one.
func (s *staying) rest(placed []api.Attempt) {
	if n := len(placed); n > 0 && (goesOn(&placed[n-1]) || s.j.Accepted != nil) {
		return
	}
	to := s.end()
	if to <= s.free {
		return
	}
	in := span{name: string(s.j.State), from: s.free, to: to, note: cmp.Or(s.j.Why, goesOnStill)}
	if s.j.State.Final() {
		in.name, in.note = string(job.StatePending), "then "+string(s.j.State)
	}
	s.out = append(s.out, stay{broker: s.j.Executor, queue: true, spans: []span{in}})
}
