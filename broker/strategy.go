package broker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// strategySetting names the cluster's strategy for conflicts among the settings.
const strategySetting = "strategy"

// setStrategy changes the strategy here, or everywhere.
func (b *Broker) setStrategy(in SetStrategy) {
	if in.Cluster {
		b.set(strategySetting, string(in.Strategy))
	} else {
		b.useStrategy(in.Strategy)
	}
	b.answer(in.Token, &StrategySet{Strategy: b.queue.Strategy()})
}

// adoptStrategy follows the cluster. A name that this version does not know is a newer
// broker's: we stay with what we have.
func (b *Broker) adoptStrategy(name string) {
	if s, err := resolve.ParseStrategy(name); err == nil {
		b.useStrategy(s)
	}
}

func (b *Broker) useStrategy(s resolve.Strategy) {
	w := b.cfg.Weights
	if w == (resolve.Weights{}) {
		w = resolve.DefaultWeights()
	}
	if was := b.queue.Strategy(); was != s && !b.now.IsZero() {
		b.note(Note{Kind: "strategy", ID: string(s), What: "changed", Text: fmt.Sprintf("%s decides by %s, until now by %s", b.self, s, was)})
	}
	b.queue.SetStrategy(s, w)
	b.undecided = true
}

// displaced says for whom a job had to make room, how, and which emergency had given that
// one its level.
type displaced struct {
	by    job.ID
	mode  job.Preemption
	at    time.Time
	cause emergency.ID
}

// pause is what the record says of it.
func (d displaced) pause(by clock.Actor, from clock.Time) job.Pause {
	return job.Pause{By: by, From: from, For: d.by, Emergency: string(d.cause), Mode: d.mode}
}

// startRuns lets the queue decide, and does what it says: the record says so first, so
// that no attempt runs that the ledger does not know.
func (b *Broker) startRuns() {
	b.refreshHeld()
	for b.undecided || b.decisionReady() {
		b.undecided = false
		d := b.queue.Resolve(clock.At(b.wall))
		for _, c := range d.Conflicts {
			b.remember(c)
		}
		b.carryOut(d)
		b.reviewAll()
		b.refreshHeld()
	}
}

// remember adds a conflict to the history.
func (b *Broker) remember(c resolve.Conflict) {
	b.history.Add(c)
	b.stats.Conflicts.Add(c.Snapshot.Strategy)
}

// ranTwice notes that a job runs here and, in a newer attempt, elsewhere: after a
// split, say. This one gives way (rule J7).
func (b *Broker) ranTwice(r *job.Record) {
	c := b.candidate(r)
	s := b.queue.Snapshot(clock.At(b.wall))
	s.Running, s.Suspended, s.Pending, s.Keys = []*resolve.Candidate{&c}, nil, nil, nil
	b.remember(resolve.Conflict{Kind: resolve.Twice, Over: c.Key, Winner: c.Key, At: r.Place.Broker, Snapshot: s})
}

// decisionReady reports whether something has changed for the queue by itself.
func (b *Broker) decisionReady() bool {
	at := b.queue.Next()
	return at != 0 && at <= clock.At(b.wall)
}

// decisionDue is when that will be, by the clock that waits are measured with.
func (b *Broker) decisionDue() time.Time {
	at := b.queue.Next()
	if at == 0 {
		return time.Time{}
	}
	return b.now.Add(max(at.Time().Sub(b.wall), time.Millisecond))
}

// carryOut does what the queue has decided.
func (b *Broker) carryOut(d resolve.Decision) {
	for _, r := range d.Expire {
		b.decide(r.Key, job.Expired, r.Why, nil)
	}
	for _, p := range d.Preempt {
		b.preempt(p)
	}
	for _, key := range d.Resume {
		b.resume(key)
	}
	for _, key := range d.Start {
		b.start(key)
	}
}

// preempt makes a running attempt give way: it stands still until there is room again,
// or it is stopped and runs again later. Room is there only when it has.
func (b *Broker) preempt(p resolve.Preempt) {
	x := b.runs[p.Victim]
	if x == nil || x.stopping {
		return
	}
	b.displaced[p.Victim] = displaced{by: idOf(p.For), mode: p.Mode, at: b.wall, cause: b.causeOf(p.For)}
	b.tellDisplaced(p)
	if p.Mode == job.Requeue {
		x.stopping, x.requeue = true, true
		b.stats.Requeued++
		b.out.Stop = append(b.out.Stop, Stop{Key: p.Victim, Attempt: x.attempt})
		return
	}
	x.suspending = true
	b.stats.Suspended++
	b.out.Suspend = append(b.out.Suspend, Suspend{Key: p.Victim, Attempt: x.attempt})
}

// paused notes that an attempt stands still: what it has given away is free.
func (b *Broker) paused(in Paused) {
	x := b.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || x.stopping || !x.suspending {
		return
	}
	x.suspending, x.suspended, b.undecided = false, true, true
	b.queue.Suspended(in.Key, clock.At(b.wall))
	b.reportPause(in.Key, x.as, job.Suspended)
}

// causeOf is the emergency that gives a job here its level, "" when none does.
func (b *Broker) causeOf(key string) emergency.ID {
	r := b.record(key)
	if r == nil {
		return ""
	}
	board := &b.emergencies.board
	level, by := board.Level(&r.Spec)
	if raised, from := b.raised(r, board); raised > level {
		return from
	}
	return by
}

// reportPause writes that an attempt has made room, and for whom.
func (b *Broker) reportPause(key string, attempt job.Attempt, phase job.Phase) {
	d, known := b.displaced[key]
	b.reportWith(key, attempt, phase, nil, func(r *job.Record) {
		if known {
			r.AddPause(d.pause(b.cfg.Actor, clock.At(b.wall)))
		}
	})
}

// resume lets an attempt go on.
func (b *Broker) resume(key string) {
	x := b.runs[key]
	if x == nil || x.stopping || !x.suspended {
		return
	}
	x.suspended = false
	b.reportGoesOn(key, x.as)
	b.out.Resume = append(b.out.Resume, Resume{Key: key, Attempt: x.attempt})
}

// requeued puts an attempt back that was stopped to make room: it runs again later.
func (b *Broker) requeued(key string, x *run) {
	*x = run{attempt: x.attempt, as: x.as}
	b.queue.Requeued(key)
	b.reportPause(key, x.as, job.Queued)
}

// reportGoesOn writes that an attempt runs, for the first time or again.
func (b *Broker) reportGoesOn(key string, attempt job.Attempt) *job.Record {
	return b.reportWith(key, attempt, job.Running, nil, func(r *job.Record) { r.EndPauses(clock.At(b.wall)) })
}

// candidate is what the queue must know of a job: with what stands before it, and
// what it gets from those that wait for it.
func (b *Broker) candidate(r *job.Record) resolve.Candidate {
	return b.candidateOn(r, &b.emergencies.board)
}

// candidateOn is the same where other emergencies are in force.
func (b *Broker) candidateOn(r *job.Record, board *emergency.Board) resolve.Candidate {
	c := resolve.CandidateOf(r)
	c.Deps = b.causes(r)
	c.Level, _ = board.Level(&r.Spec)
	c.Raised, _ = b.raised(r, board)
	return c
}

// mostRelated bounds how many jobs the broker looks at along dependencies: each once,
// however many ways lead to it.
const mostRelated = 1024

// raised is the highest emergency level of those that wait for the end of a job (rule
// C5), whichever broker will run them, and the emergency that gives it.
func (b *Broker) raised(r *job.Record, board *emergency.Board) (level int, by emergency.ID) {
	seen, look := map[string]bool{r.Key(): true}, []*job.Record{r}
	for len(look) > 0 && len(seen) < mostRelated {
		p := look[0]
		look = look[1:]
		for _, key := range slices.Sorted(maps.Keys(b.jobs.wanted[p.ID])) {
			if seen[key] {
				continue
			}
			seen[key] = true
			if s := b.record(key); s != nil && !s.Finished() && waitsFor(s, p.ID) {
				if l, from := board.Level(&s.Spec); l > level {
					level, by = l, from
				}
				look = append(look, s)
			}
		}
	}
	return level, by
}

// listConflicts answers with what was decided lately.
func (b *Broker) listConflicts(in ListConflicts) {
	out := &Conflicts{Total: b.history.Total()}
	if in.ID == "" {
		out.List = b.history.Latest(cmp.Or(max(in.Limit, 0), 100))
	} else if c, ok := b.history.Get(in.ID); ok {
		out.List = []resolve.Conflict{c}
	}
	b.answer(in.Token, out)
}

// conflictsKept is how many decided conflicts are remembered.
func (b *Broker) conflictsKept() int { return cmp.Or(b.cfg.Conflicts, resolve.DefaultHistory) }

// rememberConflicts keeps a tenth of them, the newest, while memory is tight.
func (b *Broker) rememberConflicts(tight bool) {
	if tight == b.tight {
		return
	}
	b.tight = tight
	n := b.conflictsKept()
	if tight {
		n = max(n/10, 1)
	}
	b.history.Resize(n)
}
