package broker

import (
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// ownership is what an owner does for its jobs: it places them, accepts the first result, and
// hands them over when it leaves. The records say everything but how often it has moved a job lately, and when it looks
// where urgent ones wait.
type ownership struct {
	*core
	decisions *decisions
	pace      pace
	look      time.Time // when the balancer looks at urgent jobs, besides its rounds; zero while it need not
}

// hurry lets the balancer look soon at where own urgent jobs wait (rule J9): what is urgent has changed, or one was placed
// where there is no room.
func (o *ownership) hurry() {
	if o.look.IsZero() {
		o.look = o.now.Add(settleAfter)
	}
}

// assign makes a broker the owner in the next epoch.
func (o *ownership) assign(r *job.Record, name string, actor clock.Actor) {
	o.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		tenure, ok := o.tenureAfter(old.Owner.Tenure)
		if !ok {
			return nil
		}
		return old.With(dot, func(r *job.Record) { r.Owner = job.Assignment{Tenure: tenure, Broker: name, Actor: actor} })
	})
}

// tenureAfter is the next tenure. There is none when a peer has written the last epoch that is valid, with a stamp of
// a far time: then the job stays as it is, since what we write would be undone, over and over (rule X1).
func (o *ownership) tenureAfter(t job.Tenure) (next job.Tenure, ok bool) {
	next = job.Tenure{Epoch: clock.Following(t.Epoch), At: o.stamp(), By: o.cfg.Actor}
	return next, job.Attempt{Tenure: next}.Compare(job.Attempt{Tenure: t}) > 0
}

// handOver gives an own job to the broker that rendezvous hashing names, in the next epoch. Where
// it runs stays as it is: the new owner takes care of that.
func (o *ownership) handOver(r *job.Record) {
	to := o.successor(r.Key(), o.self)
	if to == "" || o.members.Get(to).Actor == "" {
		return
	}
	o.assign(r, to, o.processAt(to))
	o.out.Handed = append(o.out.Handed, Handover{ID: r.ID, To: to})
	o.stats.Handed++
}

// handedOver reports whether the owner in that epoch has handed a job over, to the present one: nobody has placed it that the present
// one does not know of. Who takes a job over writes its tenure itself.
func handedOver(r *job.Record, epoch uint64) bool {
	t := r.Owner.Tenure
	return t.Epoch == epoch+1 && t.By.Broker() != r.Owner.Broker
}

// ownedHere counts the unfinished jobs that this broker owns.
func (c *core) ownedHere() (n int) {
	for _, k := range c.jobs.owned[c.self] {
		n += k
	}
	return n
}

// accept turns the first result into the verdict (rule J1), or into a retry. It
// reports whether the job needs nothing else.
func (o *ownership) accept(r *job.Record) bool {
	var first *job.Report
	for _, rep := range r.Reports {
		failed := rep.Phase == job.Done && rep.Result.Outcome != job.Succeeded
		if rep.Phase != job.Done || failed && rep.Attempt != r.Place.Attempt {
			continue // unfinished, or a failure of an attempt that was given up
		}
		if _, back := r.ReturnOf(rep.Attempt); back {
			continue // it is no result (rule J12)
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
		o.place(r, try+1, clock.At(o.cityTime().Add(backoff(&r.Spec, try))))
		return true
	}
	o.decide(r.Key(), res.Outcome, res.Reason, first)
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

// late ends an own job whose deadline has passed before it was placed, or placed again after it was returned. A placed
// one is left to its executor, which knows how long it runs.
func (o *ownership) late(r *job.Record) bool {
	at := o.deadline(r)
	if _, back := r.Returned(); at == 0 || !r.Place.IsZero() && !back {
		return false
	}
	if due := o.in(at); !due.Before(o.now) {
		o.reviews.at(due, r.Key())
		return false
	}
	o.decide(r.Key(), job.Expired, "its deadline passed before a broker could run it", nil)
	return true
}

// adopt lets an older attempt go on that runs when the newest has not started: after a split both
// sides have placed the job, and to stop the one that runs for one that waits would waste its work
// (rule J7).
func (o *ownership) adopt(r *job.Record) bool {
	p := r.Place
	if p.IsZero() {
		return false
	}
	if r.Started() {
		return false
	}
	var best *job.Report
	for _, rep := range r.Reports {
		if !goesOn(r, &rep) || !o.members.Present(rep.Dot.Actor) || o.members.Leaves(rep.Dot.Actor.Broker()) || rep.Attempt.Compare(p.Attempt) >= 0 {
			continue
		}
		if o.processAt(rep.Dot.Actor.Broker()) == p.Actor {
			return false // the newest attempt is at the same broker, which will report it
		}
		if best == nil || rep.Attempt.Compare(best.Attempt) > 0 {
			best = &rep
		}
	}
	if best == nil {
		return false
	}
	o.stats.Adopted++
	name := best.Dot.Actor.Broker()
	o.placeAt(r, name, o.processAt(name), p.Try, 0)
	return true
}

// adopted reports whether an older attempt runs where the job is placed: that broker takes it for the present one, and has
// yet to say so (rule J7).
func (o *ownership) adopted(r *job.Record) bool {
	return slices.ContainsFunc(r.Reports, func(rep job.Report) bool {
		return goesOn(r, &rep) && rep.Attempt.Compare(r.Place.Attempt) < 0 && o.processAt(rep.Dot.Actor.Broker()) == r.Place.Actor
	})
}

// goesOn reports whether an attempt runs by the last that its process has said of it. A process that has begun another start
// meanwhile has two reports, and what the earlier start said may be over (rules K3, J12).
func goesOn(r *job.Record, rep *job.Report) bool {
	if rep.Phase != job.Running && rep.Phase != job.Suspended {
		return false
	}
	a := rep.Dot.Actor
	return !slices.ContainsFunc(r.Reports, func(later job.Report) bool {
		b := later.Dot.Actor
		return b.Broker() == a.Broker() && b > a && later.Attempt.Compare(rep.Attempt) >= 0
	})
}

// processAt is the actor that names the present process of a broker: its first start, whichever it is at now (rule K3).
func (c *core) processAt(name string) clock.Actor {
	if name == c.self {
		return c.process()
	}
	return c.members.Get(name).AsProcess()
}

// decide writes a verdict, unless there is one already (rule J1). It reports
// whether it did.
func (c *core) decide(key string, outcome job.Outcome, reason string, accepted *job.Report) bool {
	wrote := false
	c.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil || old.Finished() {
			return nil
		}
		wrote = true
		return old.With(dot, func(r *job.Record) {
			r.AddVerdict(job.Verdict{
				At: c.stamp(), Dot: dot, Outcome: outcome, Report: accepted,
				Reason: strings.ToValidUTF8(reason[:min(len(reason), job.MaxReason)], ""),
			})
		})
	})
	if wrote {
		c.stats.Ended.add(outcome)
	}
	if r := c.record(key); wrote && c.peers.Old(r.Submitted()) {
		c.peers.Ended(kind.JobRef(key))
	}
	return wrote
}
