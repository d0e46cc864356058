package broker

import (
	"fmt"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// displaced says for which job another had to make room, how, and which emergency had given it its
// level.
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

// carryOut does what the queue has decided.
func (a *attempts) carryOut(d resolve.Decision) {
	for _, r := range d.Expire {
		a.decide(r.Key, job.Expired, r.Why, nil)
	}
	for _, p := range d.Preempt {
		a.preempt(p)
	}
	for _, key := range d.Resume {
		a.resume(key)
	}
	for _, key := range d.Start {
		a.start(key)
	}
}

// preempt makes a running attempt give way: it stands still until there is room again, or it is
// stopped and runs again later. The room is free only when it has done so.
func (a *attempts) preempt(p resolve.Preempt) {
	x := a.runs[p.Victim]
	if x != nil && x.again {
		x.again = false // it has yet to start
		a.decisions.requeued(p.Victim)
		return
	}
	if x == nil || x.stopping {
		return
	}
	a.displaced[p.Victim] = displaced{by: idOf(p.For), mode: p.Mode, at: a.cityTime(), cause: a.decisions.causeOf(p.For)}
	a.tellDisplaced(p)
	if p.Mode == job.Requeue {
		x.stopping, x.requeue = true, true
		a.stats.Requeued++
		a.stats.RequeuedBy.Add(a.decisions.strategy())
		a.out.Stop = append(a.out.Stop, Stop{Key: p.Victim, Attempt: x.attempt, Keep: true})
		return
	}
	x.suspending = true
	a.stats.Suspended++
	a.stats.SuspendedBy.Add(a.decisions.strategy())
	a.out.Suspend = append(a.out.Suspend, Suspend{Key: p.Victim, Attempt: x.attempt})
}

// paused notes that an attempt stands still: what it has given away is free.
func (a *attempts) paused(in Paused) {
	x := a.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || x.stopping || !x.suspending {
		return
	}
	x.suspending, x.suspended = false, true
	a.decisions.stoodStill(in.Key)
	a.reportPause(in.Key, x.as, job.Suspended, nil)
}

// resume lets an attempt go on.
func (a *attempts) resume(key string) {
	x := a.runs[key]
	if x == nil || x.stopping || !x.suspended {
		return
	}
	x.suspended = false
	a.reportGoesOn(key, x)
	a.out.Resume = append(a.out.Resume, Resume{Key: key, Attempt: x.attempt})
}

// gone takes in that nothing of an attempt runs any more that was told to stop: what it had is free, though what it has written
// is yet to be stored. One that is to run again may have its turn before that is over, and starts then.
func (a *attempts) gone(in Gone) {
	x := a.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || !x.stopping || x.gone {
		return
	}
	x.gone = true
	if x.requeue {
		a.decisions.requeued(in.Key)
		return
	}
	a.decisions.remove(in.Key)
}

// requeued puts an attempt back that was stopped to make room: it runs again later. What it has written is kept until then
// (rule J13).
func (a *attempts) requeued(in Reported, x *run) {
	was := *x
	*x = run{attempt: x.attempt, as: x.as}
	if !was.gone {
		a.decisions.requeued(in.Key)
	}
	left := a.leftBy(&in)
	if left != nil {
		a.blobs.Spread(left.Blobs(), a.copies.Reach())
	}
	a.reportPause(in.Key, x.as, job.Queued, left)
	if r := a.record(in.Key); r != nil && r.Spec.Checkpoint != nil {
		x.given = r
		if !a.blobs.Has(a.self, r.Needs()) { // another attempt has taken the newest, as on the other side of a split
			a.decisions.remove(in.Key)
			x.fetching = true
			a.fetch(r, x)
			return
		}
	}
	if was.again {
		a.start(in.Key)
	}
}

// reportPause writes that an attempt has made room, for whom, and what it left.
func (a *attempts) reportPause(key string, attempt job.Attempt, phase job.Phase, left *job.Result) {
	d, known := a.displaced[key]
	a.reportKept(key, attempt, phase, left, func(r *job.Record) {
		if known {
			r.AddPause(d.pause(a.cfg.Actor, a.cityNow()))
		}
	})
}

// yieldKey stops an attempt whose exclusive key another job held first, at another broker: they
// raced. It runs again when the key is free.
func (a *attempts) yieldKey(r *job.Record, x *run) {
	if r.Spec.Exclusive == "" || !x.started || x.stopping || !r.Spec.MayRedeploy() {
		return
	}
	if o := a.decisions.heldElsewhere(r.Spec.Exclusive); o != nil && beganBefore(o, r) {
		a.preempt(resolve.Preempt{Victim: r.Key(), For: o.Key(), Mode: job.Requeue})
		a.decisions.stop(r.Key())
	}
}

// whyDisplaced says for which job one had to make room, "" when it did not.
func (a *attempts) whyDisplaced(key string) string {
	d, ok := a.displaced[key]
	if !ok {
		return ""
	}
	return fmt.Sprintf("; made room for %s at %s", d.by, d.at.UTC().Format("15:04:05"))
}
