package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// ending is how a job was shown to have ended: what must never change.
type ending struct {
	state    job.State
	executor string // of the accepted result; "" when it ended without one
	attempt  string
	reason   string
	at       clock.Time
}

func endingOf(j api.Job) ending {
	e := ending{state: j.State, reason: j.Reason, at: j.FinishedAt}
	if a := j.Accepted; a != nil {
		e.executor, e.attempt, e.at = a.Executor, a.Attempt, a.At
	}
	return e
}

func (e ending) String() string {
	if e.attempt == "" {
		return fmt.Sprintf("%s (%s)", e.state, e.reason)
	}
	return fmt.Sprintf("%s by %s in attempt %s", e.state, e.executor, e.attempt)
}

// witness remembers what brokers have shown, and notices what contradicts it
// (rules A3, J1).
type witness struct {
	mu    sync.Mutex
	shown map[job.ID]*sighting
	twice map[job.ID]string // the first contradiction of each job
	taken map[job.ID]string // an end that was taken back by who had shown it
	looks int               // answers seen

	forgot map[string]time.Time // broker -> when its disk was exchanged, and what it had shown with it
}

// sighting is one job's end as it was first shown without "provisional", and when
// each broker did so.
type sighting struct {
	end   ending
	first time.Time // by anybody
	by    map[string]time.Time
}

func newWitness() *witness {
	return &witness{shown: map[job.ID]*sighting{}, twice: map[job.ID]string{}, taken: map[job.ID]string{}, forgot: map[string]time.Time{}}
}

// saw takes in an answer about a job, which was asked for at the given time. It
// reports whether it shows a firm end: one that may not change any more.
func (w *witness) saw(broker string, id job.ID, j api.Job, asked, answered time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	s := w.shown[id]
	if !j.State.Final() {
		w.back(s, broker, id, asked, answered, "that it is "+string(j.State))
		return false
	}
	if j.Provisional {
		return false
	}
	e := endingOf(j)
	if s == nil {
		s = &sighting{end: e, first: answered, by: map[string]time.Time{}}
		w.shown[id] = s
	}
	if s.end != e && w.twice[id] == "" {
		w.twice[id] = fmt.Sprintf("%s: shown by %v as %v, then at %s by %s as %v", id, s.who(), s.end, clockTime(answered), broker, e)
	}
	if s.by[broker].IsZero() && asked.After(w.forgot[broker]) {
		s.by[broker] = answered
	}
	return true
}

// missed takes in that a broker does not know a job.
func (w *witness) missed(broker string, id job.ID, asked, answered time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	w.back(w.shown[id], broker, id, asked, answered, "that it knows no such job")
}

// back notes that a broker has taken back an end that it had shown before it was asked.
func (w *witness) back(s *sighting, broker string, id job.ID, asked, answered time.Time, what string) {
	if s == nil || s.by[broker].IsZero() || !asked.After(s.by[broker]) || w.taken[id] != "" {
		return
	}
	w.taken[id] = fmt.Sprintf("%s: %s has shown at %s that it was %v, and at %s %s", id, broker, clockTime(s.by[broker]), s.end, clockTime(answered), what)
}

// forget is told that a broker, which is down, has got another disk: it need not
// remember what it has shown.
func (w *witness) forget(broker string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgot[broker] = time.Now()
	for _, s := range w.shown {
		delete(s.by, broker)
	}
}

// firm is when anybody first showed the job's end as firm; zero for never.
func (w *witness) firm(id job.ID) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.shown[id]; s != nil {
		return s.first
	}
	return time.Time{}
}

func (s *sighting) who() (out []string) {
	for name, at := range s.by {
		out = append(out, name+" at "+clockTime(at))
	}
	return out
}

// firstAt is when a broker first showed the job's end as firm; zero for never.
func (w *witness) firstAt(id job.ID, broker string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.shown[id]; s != nil {
		return s.by[broker]
	}
	return time.Time{}
}

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05.000") }
