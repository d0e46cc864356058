package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// reviewLater marks a job whose record, or whose surroundings, have changed.
func (b *Broker) reviewLater(key string) {
	if !b.queued[key] {
		b.queued[key] = true
		b.review = append(b.review, key)
	}
}

// maxReviews is how often one job is looked at in a step.
const maxReviews = 32

// reviewAll reviews what was marked, and what those reviews mark, until nothing
// is left to mend. A review that has nothing to do changes nothing, so this
// ends.
func (b *Broker) reviewAll() {
	if b.now.IsZero() {
		return // before the first Tick
	}
	times := map[string]int{}
	for len(b.review) > 0 && b.err == nil {
		key := b.review[0]
		b.review = b.review[1:]
		delete(b.queued, key)
		if times[key]++; times[key] > maxReviews {
			// Two rules undo one another: a fault of ours. The other jobs must not suffer.
			b.stats.Spins++
			b.timers.add(rounded(b.now.Add(time.Second)), key)
			continue
		}
		if r := b.record(key); r != nil {
			b.reviewJob(r)
		}
	}
	b.review = nil
}

// reviewJob compares what the record says with what this broker does, and mends
// the difference. It is driven by the state and not by the event that led there,
// so that a lost or repeated message makes no difference.
func (b *Broker) reviewJob(r *job.Record) {
	b.reviewRun(r)
	switch {
	case r.Finished() || b.old(r):
	case r.Owner.Broker != b.self:
		if b.members.JudgeLost(b.now, r.Owner.Broker) && b.members.Successor(r.Key(), "", !b.draining) == b.self {
			b.stats.TakenOver++
			b.own(r, b.self, b.cfg.Actor)
		} else if len(r.Spec.After) > 0 {
			b.remind(r)
		}
	case r.Owner.Actor != b.cfg.Actor:
		// It was ours before our start: it is again, without delay. A placement with
		// somebody who lives stays: its attempt goes on (rules J6, J7).
		b.own(r, b.self, b.cfg.Actor)
	case b.accept(r):
	case b.draining:
		b.handOver(r)
	case b.follow(r):
	case b.late(r):
	case b.adopt(r):
	case b.needsPlace(r):
		b.replace(r)
	}
}

// needsPlace reports whether the job must be placed: it never was, or its executor
// is lost, or is about to leave and has not started it, or has started anew: a new
// actor proves that what the old one held is gone (rules I2, J6).
func (b *Broker) needsPlace(r *job.Record) bool {
	p := r.Place
	if p.IsZero() {
		return true
	}
	if p.Broker == b.self {
		return p.Actor != b.cfg.Actor
	}
	m := b.members.Get(p.Broker)
	if m.Status == membership.Alive && m.Actor != "" && m.Actor != p.Actor {
		return true
	}
	if rep, ok := r.Present(); b.members.Leaves(p.Broker) && (!ok || rep.Phase == job.Queued || rep.Phase == job.Stopped) {
		return true
	}
	return b.members.JudgeLost(b.now, p.Broker)
}

// late ends an own job that nobody can run before its deadline any more. One that is
// placed is its executor's business, which knows how long it runs.
func (b *Broker) late(r *job.Record) bool {
	at := r.Spec.Priority.Deadline
	if at == 0 || !r.Place.IsZero() {
		return false
	}
	if left := at.Time().Sub(b.wall); left >= 0 {
		b.timers.add(rounded(b.now.Add(left)), r.Key())
		return false
	}
	b.decide(r.Key(), job.Expired, "its deadline passed before a broker could run it", nil)
	return true
}

// replace places a job whose executor is gone, or that never had one. A job that
// must not run twice is placed once, by its first owner: whoever took it over can't
// know whether it ran, nor can an owner whose executor is lost (rule J8).
func (b *Broker) replace(r *job.Record) {
	p := r.Place
	if !r.Spec.MayRedeploy() && (!p.IsZero() || r.Owner.Tenure.Epoch > 1) {
		where := "its owner"
		if !p.IsZero() {
			where = p.Broker + ", where it was placed,"
		}
		b.decide(r.Key(), job.Failed, where+" was lost: it may have run, and redeploy is false", nil)
		return
	}
	if !p.IsZero() {
		b.stats.Replaced++
	}
	b.place(r, p.Try, 0)
}

// adopt lets an older attempt go on that runs, when the newest has not started:
// after a split both sides have placed the job, and stopping what runs for what only
// waits would waste it (rule J7).
func (b *Broker) adopt(r *job.Record) bool {
	p := r.Place
	if p.IsZero() {
		return false
	}
	if rep, ok := r.Present(); ok && rep.Phase != job.Queued && rep.Phase != job.Stopped {
		return false
	}
	var best *job.Report
	for _, rep := range r.Reports {
		runs := rep.Phase == job.Running || rep.Phase == job.Suspended
		if !runs || !b.members.Present(rep.Dot.Actor) || b.members.Leaves(rep.Dot.Actor.Broker()) || rep.Attempt.Compare(p.Attempt) >= 0 {
			continue
		}
		if rep.Dot.Actor == p.Actor {
			return false // that is the one, it will say so
		}
		if best == nil || rep.Attempt.Compare(best.Attempt) > 0 {
			best = &rep
		}
	}
	if best == nil {
		return false
	}
	b.stats.Adopted++
	b.placeAt(r, best.Dot.Actor.Broker(), best.Dot.Actor, p.Try, 0)
	return true
}

// present reports whether the start of a broker that has this actor is alive.
func (b *Broker) present(actor clock.Actor) bool {
	if actor == b.cfg.Actor {
		return true
	}
	m := b.members.Get(actor.Broker())
	return m.Status == membership.Alive && m.Actor == actor
}

// accept turns the first result into the verdict (rule J1), or into a retry. It
// reports whether the job needs nothing else.
func (b *Broker) accept(r *job.Record) bool {
	var first *job.Report
	for _, rep := range r.Reports {
		failed := rep.Phase == job.Done && rep.Result.Outcome != job.Succeeded
		if rep.Phase != job.Done || failed && rep.Attempt != r.Place.Attempt {
			continue // unfinished, or a failure of an attempt that was given up
		}
		if first == nil || rep.At < first.At {
			first = &rep
		}
	}
	if first == nil {
		return false
	}
	res := first.Result
	if try := r.Place.Try; res.Outcome == job.Failed && !res.Permanent && try < r.Spec.Retries.Max {
		b.place(r, try+1, clock.At(b.wall.Add(backoff(&r.Spec, try))))
		return true
	}
	b.decide(r.Key(), res.Outcome, res.Reason, first)
	return true
}

// backoff is the pause after a failed try: it doubles, up to an hour.
func backoff(s *job.Spec, try int) time.Duration {
	pause := time.Duration(s.Retries.Backoff)
	if pause == 0 {
		pause = time.Second
	}
	return min(min(pause, time.Hour)<<min(max(try, 0), 16), time.Hour)
}

// decide writes a verdict, unless there is one already (rule J1). It reports
// whether it did.
func (b *Broker) decide(key string, outcome job.Outcome, reason string, accepted *job.Report) bool {
	wrote := false
	b.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil || old.Finished() {
			return nil
		}
		wrote = true
		return old.With(dot, func(r *job.Record) {
			r.AddVerdict(job.Verdict{
				At: b.stamp(), Dot: dot, Outcome: outcome, Report: accepted,
				Reason: strings.ToValidUTF8(reason[:min(len(reason), job.MaxReason)], ""),
			})
		})
	})
	return wrote
}

// place chooses an executor and says so in the record. When nobody is capable,
// the job stays where it was, and is looked at again when the membership
// changes.
func (b *Broker) place(r *job.Record, try int, notBefore clock.Time) {
	name, actor, ok := b.choose(r)
	if !ok {
		if r.Place.IsZero() {
			return
		}
		// Its executor is gone and nobody else can: it waits for one.
		name, actor = r.Place.Broker, r.Place.Actor
		if try == r.Place.Try {
			return
		}
	}
	b.placeAt(r, name, actor, try, notBefore)
}

func (b *Broker) placeAt(r *job.Record, name string, actor clock.Actor, try int, notBefore clock.Time) {
	b.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		return old.With(dot, func(r *job.Record) {
			r.Place = job.Placement{
				Attempt: job.Attempt{Tenure: old.Owner.Tenure, Seq: old.Place.Attempt.Seq + 1},
				Broker:  name, Actor: actor, Try: try, NotBefore: notBefore,
			}
		})
	})
}

// incapable says why a broker can't run a job at all, "" when it can.
func incapable(c *wire.Capabilities, s *job.Spec) string {
	if !slices.Contains(c.Drivers, s.Driver) {
		return fmt.Sprintf("driver %s", s.Driver)
	}
	if lack := c.Capacity.Lacks(s.Resources); lack != "" {
		return lack + " at all"
	}
	if text := s.Unmet(c.Labels); text != "" {
		return "constraint " + text
	}
	return ""
}
