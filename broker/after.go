package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// arriving is a submission that names jobs which are not known here yet (rule C4):
// perhaps news of them is on its way.
type arriving struct {
	in       Submit
	deadline time.Time
}

// unknown lists the predecessors that a spec names and this broker does not know.
// That they must be known is why no cycle can be.
func (b *Broker) unknown(s *job.Spec) (out []job.ID) {
	for _, id := range s.After {
		if len(b.jobs.withID(id)) == 0 {
			out = append(out, id)
		}
	}
	return out
}

// arrive lets a submission wait for its predecessors, and asks everybody for them.
func (b *Broker) arrive(in Submit) {
	b.arriving = append(b.arriving, arriving{in, b.now.Add(max(in.Timeout, b.cfg.AckTimeout))})
	for _, name := range b.names {
		b.links[name].want = true
	}
}

// checkArriving takes those in whose predecessors have become known, and refuses
// those that have waited for long enough.
func (b *Broker) checkArriving() {
	if len(b.arriving) == 0 {
		return
	}
	var ready []Submit
	b.arriving = slices.DeleteFunc(b.arriving, func(w arriving) bool {
		missing := b.unknown(&w.in.Spec)
		switch {
		case len(missing) == 0:
			w.in.Timeout = w.deadline.Sub(b.now) // what is left of it
			ready = append(ready, w.in)
		case b.now.Before(w.deadline):
			return false
		default:
			b.answer(w.in.Token, &Submitted{Unknown: missing, Past: w.in.Past})
		}
		return true
	})
	for _, in := range ready {
		b.submit(in)
	}
}

func (b *Broker) arrivingDue() (due time.Time) {
	for _, w := range b.arriving {
		if due.IsZero() || w.deadline.Before(due) {
			due = w.deadline
		}
	}
	return due
}

// waitsFor reports whether a job has yet to see the end of another.
func waitsFor(r *job.Record, id job.ID) bool {
	return slices.Contains(r.Spec.After, id) && slices.Contains(r.Waits(), id)
}

// follow notes in an own job how its predecessors have ended, and reports whether it
// can't be placed now: it still waits for one, or has just failed with one.
func (b *Broker) follow(r *job.Record) (waits bool) {
	if len(r.Spec.After) == 0 {
		return false
	}
	var ended []job.Ending
	for _, id := range r.Waits() {
		if p, _ := b.resolve(string(id)); p != nil && p.ID == id && p.Finished() {
			v := p.Verdict()
			ended = append(ended, job.Ending{Job: id, At: v.At, By: v.Dot.Actor, Outcome: v.Outcome})
		}
	}
	if len(ended) > 0 {
		r = b.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
			return old.With(dot, func(r *job.Record) {
				for _, e := range ended {
					r.SetEnding(e)
				}
			})
		})
		if r == nil {
			return true
		}
	}
	if b.loseTrack(r) {
		return true
	}
	if e, barred := r.Barred(); barred {
		b.decide(r.Key(), job.Failed, fmt.Sprintf("%s, which it runs after, has %s: it waits for its success", e.Job, e.Outcome), nil)
		return true
	}
	return len(r.Waits()) > 0
}

// How long a job may wait for a predecessor of which its owner knows nothing, or whose end
// its owner does not note though others know of it.
const (
	remindAfter = 10 * time.Second
	trackedFor  = 3 // sync intervals
)

// loseTrack ends the wait of an own job for predecessors that nobody knows any more: they
// were known when it was submitted (rule C4), so they have ended, and were forgotten while
// this broker was away for so long that nobody waited for it (rule L8). It reports whether
// the job has failed with that. While a member is absent that may know of them, it waits.
func (b *Broker) loseTrack(r *job.Record) bool {
	gone := b.unknown(&job.Spec{After: r.Waits()})
	if len(gone) == 0 || !b.knowsAll() {
		delete(b.tracks, r.Key())
		if len(gone) > 0 {
			b.timers.add(rounded(b.now.Add(b.cfg.SyncInterval)), r.Key())
		}
		return false
	}
	until, waits := b.tracks[r.Key()]
	if !waits {
		until = b.now.Add(trackedFor * b.cfg.SyncInterval)
		b.tracks[r.Key()] = until
	}
	if b.now.Before(until) {
		b.timers.add(rounded(until), r.Key())
		return false
	}
	delete(b.tracks, r.Key())
	if r.Spec.AfterPolicy != job.AfterEnd {
		b.decide(r.Key(), job.Failed, fmt.Sprintf("%s, which it runs after, has ended, and nobody remembers how: it waits for its success", gone[0]), nil)
		return true
	}
	b.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		return old.With(dot, func(r *job.Record) {
			for _, id := range gone {
				r.SetEnding(job.Ending{Job: id, At: b.stamp(), By: b.cfg.Actor, Outcome: job.Expired})
			}
		})
	})
	return true // it is reviewed again, since it has changed
}

// knowsAll reports whether every member is there and known to hold nothing that we lack.
func (b *Broker) knowsAll() bool {
	c := b.ledger.Clock()
	for _, name := range b.names {
		m, l := b.members[name], b.links[name]
		if m.Status != Left && (m.Status != Alive || l == nil || !l.heard || !c.Covers(l.known)) {
			return false
		}
	}
	return true
}

// remind notes in another's job that a predecessor has ended, when its owner should know
// and does not note it: it has forgotten that predecessor, being told so by somebody who
// had, before it heard of the end (rules C4, L9).
func (b *Broker) remind(r *job.Record) {
	var ended []job.Ending
	for _, id := range r.Waits() {
		p, _ := b.resolve(string(id))
		if p == nil || p.ID != id || !p.Finished() {
			continue
		}
		v := p.Verdict()
		if since := v.At.Time().Add(remindAfter); b.wall.Before(since) {
			b.timers.add(rounded(b.now.Add(since.Sub(b.wall))), r.Key())
		} else if b.holdsUpdate(r.Owner.Broker, v.Dot) {
			ended = append(ended, job.Ending{Job: id, At: v.At, By: v.Dot.Actor, Outcome: v.Outcome})
		} else {
			b.timers.add(rounded(b.now.Add(remindAfter)), r.Key())
		}
	}
	if len(ended) == 0 {
		return
	}
	b.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		return old.With(dot, func(r *job.Record) {
			for _, e := range ended {
				r.SetEnding(e)
			}
		})
	})
}

// whyWaiting names the predecessors that a job waits for.
func (b *Broker) whyWaiting(r *job.Record) string {
	var parts []string
	for _, id := range r.Waits() {
		state := "not known here"
		if p, _ := b.resolve(string(id)); p != nil && p.ID == id {
			state = string(p.State())
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", id, state))
	}
	if len(parts) == 0 {
		return ""
	}
	return "waits for the end of " + strings.Join(parts, ", ")
}

// notedOthers looks at the jobs that a change of this one concerns: those that wait
// for its end, those that it waits for, those that want its key.
func (b *Broker) notedOthers(old, r *job.Record) {
	if r.Spec.Exclusive != "" {
		b.heldStale = true
	}
	if r.Finished() && (old == nil || !old.Finished()) {
		for _, key := range slices.Sorted(maps.Keys(b.jobs.wanted[r.ID])) {
			b.reviewLater(key)
		}
	}
	if len(r.Spec.After) > 0 && (old == nil || r.Finished() != old.Finished() || len(r.Ended) != len(old.Ended)) {
		b.rerank(r.Spec.After)
	}
}

// rerank tells the queue that those which wait for these jobs have changed, and so what
// they inherit (rule C5), and what stands before them in turn.
func (b *Broker) rerank(ids []job.ID) {
	seen, look := map[job.ID]bool{}, slices.Clone(ids)
	for len(look) > 0 && len(seen) < mostRelated {
		id := look[0]
		look = look[1:]
		p, _ := b.resolve(string(id))
		if seen[id] || p == nil || p.ID != id || p.Finished() {
			continue
		}
		seen[id] = true
		if b.queue.Known(p.Key()) {
			b.queue.Update(b.candidate(p))
			b.undecided = true
		}
		look = append(look, p.Spec.After...)
	}
}

// causes lists the keys of the nearest jobs before this one that compete here, or
// may come to (rule C1). Through those that have ended, or run elsewhere, it looks for
// what stands before them.
func (b *Broker) causes(r *job.Record) (keys []string) {
	const most = 64 // jobs looked at
	seen := map[string]bool{r.Key(): true}
	look := append([]job.Dependency{}, r.Created[0].Deps...)
	for len(look) > 0 && len(seen) < most {
		d := look[0]
		look = look[1:]
		for _, key := range b.jobs.withID(d.Job) {
			p := b.record(key)
			if p == nil || seen[key] || !slices.ContainsFunc(p.Created, func(s job.Stamp) bool { return s.Dot == d.Dot }) {
				continue
			}
			seen[key] = true
			if !p.Finished() && (p.Place.IsZero() || p.Place.Actor == b.cfg.Actor) {
				keys = append(keys, key)
				continue
			}
			look = append(look, p.Created[0].Deps...)
		}
	}
	return keys
}

// causalWait is how long an executor waits for news of what a job depends on (rule C2).
const causalWait = 10 * time.Second

// isBehind reports whether a job must wait since we do not know yet what it depends
// on: what is not covered by our clock may be before it.
func (b *Broker) isBehind(r *job.Record) bool {
	key := r.Key()
	c := b.ledger.Clock()
	missing := slices.ContainsFunc(r.Created[0].Deps, func(d job.Dependency) bool { return !c.Has(d.Dot) })
	until, waits := b.behind[key]
	switch {
	case !missing || !b.queue.Strategy().Causal():
		delete(b.behind, key)
		return false
	case !waits:
		until = b.now.Add(causalWait)
		b.behind[key] = until
		b.timers.add(rounded(until), key)
		for _, d := range r.Created[0].Deps {
			if l := b.links[d.Dot.Actor.Broker()]; l != nil {
				l.want = true
			}
		}
	}
	if !b.now.Before(until) {
		b.stats.Uncaused++
		return false
	}
	return true
}

// checkBehind looks again at the jobs that wait for news.
func (b *Broker) checkBehind() {
	for _, key := range slices.Sorted(maps.Keys(b.behind)) {
		b.reviewLater(key)
	}
}
