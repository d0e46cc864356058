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
		a.requeued(in.Key, x)
		return
	}
	a.decisions.remove(in.Key)
	if x.forgotten {
		delete(a.runs, in.Key)
		a.reviews.later(in.Key)
		return
	}
	if blobs := in.Result.Blobs(); in.Stopped && len(blobs) > 0 && in.Result.Size() <= job.MaxResult && a.endedWithout(in.Key) { // rule J13
		x.result = &in.Result
		a.blobs.Saw(blobs...)
		a.blobs.Spread(blobs, a.copies.Reach())
		a.settle(in.Key, x)
		a.reviews.later(in.Key)
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
	a.report(key, x.as, job.Done, x.result)
	a.settled(x.result.Blobs())
}

// report writes this executor's own slot (rule J5).
func (a *attempts) report(key string, attempt job.Attempt, phase job.Phase, res *job.Result) {
	a.reportWith(key, attempt, phase, res, func(*job.Record) {})
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
