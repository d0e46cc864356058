package broker

import (
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// A start is on disk before it is made (rule J8), so the record of a job says that it runs before anybody knows whether it
// does: its module may take a while to be ready, which is written after half a second only (rule J14). Until then the job is
// shown as starting. Its executor knows when the program has begun; the others know no more than how old the start is.

// starts reports whether it is not known here yet whether the program of a job has begun that runs by its record.
func (b *Broker) starts(r *job.Record) bool {
	rep, ok := r.ToldToRun()
	if !ok {
		return false
	}
	if x := b.attempts.runs[r.Key()]; x != nil && x.started && x.as == rep.Attempt && b.ours(rep.Dot.Actor) {
		return !x.began && x.result == nil
	}
	return r.StartsUntil(b.cityNow()) != 0
}

// shownState is the state of a job as people are told it.
func (b *Broker) shownState(r *job.Record) job.State {
	if b.starts(r) {
		return job.StateStarting
	}
	return r.State()
}

// startings are the jobs of which those who watch were told that they start, and not yet that they run. There are none while
// nobody watches.
type startings struct {
	told   map[string]bool // by key
	timers timers
}

// watch says whether somebody wants to hear of every job's state. Who does may have read of a job that it starts, and waits for the
// word that it runs: that comes also of those that started before.
func (b *Broker) watch(on bool) {
	on = on || b.cfg.TellStates
	b.watched, b.startings = on, startings{}
	if !on {
		return
	}
	running := job.Filter{States: []job.State{job.StateRunning}}
	_, _ = b.jobs.page(&running, mostLooked, "", func(key string) bool { // without a cursor it can't fail
		if r := b.record(key); r != nil && b.starts(r) {
			b.toldStarting(key, r)
		}
		return true
	})
}

// loads takes in what the executor says of an attempt's module.
func (b *Broker) loads(in Loads) {
	b.attempts.loads(in)
	b.tellBegun(in.Key)
}

// tellChange notes results that do not count, and, when somebody watches, a job's new state; of one that starts, later, that it runs.
func (b *Broker) tellChange(old, r *job.Record) {
	b.tellLosers(old, r)
	b.tellPauses(old, r)
	if !b.watched {
		return
	}
	key, starts := r.Key(), b.starts(r)
	if b.startings.told[key] && !starts {
		delete(b.startings.told, key)
		if r.State() == job.StateRunning {
			old = nil // that it runs is new
		}
	}
	if !b.tellState(old, r, starts) || !starts {
		return
	}
	b.toldStarting(key, r)
}

// toldStarting remembers that a job is known to start to those who watch, and looks at it again when it would have been heard of.
func (b *Broker) toldStarting(key string, r *job.Record) {
	if b.startings.told == nil {
		b.startings.told = map[string]bool{}
	}
	b.startings.told[key] = true
	if until := r.StartsUntil(b.cityNow()); until != 0 {
		b.startings.timers.add(rounded(b.in(until)), key)
	}
}

// tellBegun notes that a job runs of which it was noted that it starts.
func (b *Broker) tellBegun(key string) {
	r := b.record(key)
	switch {
	case !b.startings.told[key]:
	case r == nil:
		delete(b.startings.told, key)
	case !b.starts(r):
		b.tellChange(r, r)
	}
}

// tellStarted notes which jobs run whose executor has said nothing else in time.
func (b *Broker) tellStarted() {
	for _, key := range b.startings.timers.due(clock.At(b.now)) {
		if b.tellBegun(key); b.startings.told[key] {
			b.toldStarting(key, b.record(key)) // it was started again meanwhile, or the clock was put right
		}
	}
}

// due is when the next job may have begun that was told as starting; zero is never.
func (s *startings) due() time.Time {
	if at, ok := s.timers.next(); ok {
		return at.Time()
	}
	return time.Time{}
}
