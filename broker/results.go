package broker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// reported takes in how an attempt ended.
func (a *attempts) reported(in Reported) {
	x := a.runs[in.Key]
	if x == nil || x.attempt != in.Attempt {
		return // given up before it started
	}
	if x.given != nil {
		in.Result.Read = x.given.Readings()
	}
	if in.Stopped && x.requeue {
		a.requeued(in, x)
		return
	}
	a.decisions.remove(in.Key)
	if x.forgotten {
		delete(a.runs, in.Key)
		a.reviews.later(in.Key)
		return
	}
	if left := a.leftBy(&in); left != nil {
		a.left(in.Key, x, left)
		return
	}
	if in.Stopped {
		delete(a.runs, in.Key)
		a.reviews.later(in.Key) // a newer attempt may have waited for this
		if r := a.record(in.Key); r != nil && (!r.Finished() || a.endedWithout(in.Key)) {
			a.report(in.Key, x.as, job.Stopped, nil) // so that no owner adopts it (rule J7), and nobody waits for what it left (J13)
		}
		return
	}
	if in.Returned {
		a.returned(in, x)
		return
	}
	if n := in.Result.Size(); n > job.MaxResult {
		in.Result = job.Result{
			Outcome: job.Failed, Permanent: true, Started: in.Result.Started, Finished: in.Result.Finished,
			Reason: fmt.Sprintf("the list of its output files takes %d bytes, at most %d are allowed: pack them into one file", n, job.MaxResult),
		}
	}
	x.result = &in.Result
	a.settling[in.Key] = x
	a.blobs.Saw(in.Result.Blobs()...)
	a.blobs.Spread(in.Result.Blobs(), a.copies.Reach())
	if r := a.record(in.Key); r == nil || r.Finished() {
		a.stats.Rejected++
		a.settle(in.Key, x)
		return
	}
	a.settleAll()
}

// leftBy returns what a stopped attempt had written, nil if that is nothing or more than a record holds.
func (a *attempts) leftBy(in *Reported) *job.Result {
	blobs := in.Result.Blobs()
	if !in.Stopped || len(blobs) == 0 || in.Result.Size() > job.MaxResult {
		return nil
	}
	a.blobs.Saw(blobs...)
	return &in.Result
}

// left keeps what a stopped attempt had written (rule J13): as the last that there is of a job that has ended without a result,
// or until the next attempt has ended. A broker that leaves brings it to others first.
func (a *attempts) left(key string, x *run, res *job.Result) {
	a.reviews.later(key) // a newer attempt may have waited for this
	a.blobs.Spread(res.Blobs(), a.copies.Reach())
	switch r := a.record(key); {
	case a.endedWithout(key):
		x.result = res
		a.settle(key, x)
	case r == nil || r.Finished():
		delete(a.runs, key)
	default:
		x.result, x.kept = res, true
		a.settling[key] = x
		if a.offer.draining {
			a.settleAll() // when enough others have it
			return
		}
		a.settle(key, x)
	}
}

// settleAll reports the results whose output is on as many brokers as the inputs of a submission
// are, or on all that are alive and take it (rule J11).
func (a *attempts) settleAll() {
	for _, key := range slices.Sorted(maps.Keys(a.settling)) {
		x := a.settling[key]
		blobs := x.result.Blobs()
		if len(blobs) == 0 || a.copies.Copies(clock.Dot{Actor: a.cfg.Actor}, blobs) >= a.copies.Goal() || !a.blobs.Travels(blobs) {
			a.settle(key, x)
		}
	}
}

// settle writes down how an attempt ended.
func (a *attempts) settle(key string, x *run) {
	delete(a.runs, key)
	delete(a.settling, key)
	if x.kept && !a.endedWithout(key) {
		a.reportKept(key, x.as, job.Stopped, x.result, func(*job.Record) {})
	} else {
		a.report(key, x.as, job.Done, x.result)
	}
	a.settled(x.result.Blobs())
}

// report writes this executor's own slot (rule J5).
func (a *attempts) report(key string, attempt job.Attempt, phase job.Phase, res *job.Result) {
	a.reportWith(key, attempt, phase, res, func(*job.Record) {})
}

// reportKept is report of an attempt that was stopped to run again, here or elsewhere, with what it left; nil is nothing.
func (a *attempts) reportKept(key string, attempt job.Attempt, phase job.Phase, left *job.Result, more func(*job.Record)) {
	a.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil {
			return nil
		}
		return old.With(dot, func(r *job.Record) {
			at := a.stamp()
			r.SetReport(job.Report{Attempt: attempt, Dot: dot, At: at, Phase: phase})
			if left != nil {
				r.SetKept(job.Report{Attempt: attempt, Dot: dot, At: at, Phase: job.Done, Result: left})
			}
			more(r)
		})
	})
}

// reportWith is report with a further change in the same update.
func (a *attempts) reportWith(key string, attempt job.Attempt, phase job.Phase, res *job.Result, more func(*job.Record)) {
	a.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil {
			return nil
		}
		return old.With(dot, func(r *job.Record) {
			r.SetReport(job.Report{Attempt: attempt, Dot: dot, At: a.stamp(), Phase: phase, Result: res})
			more(r)
		})
	})
}
