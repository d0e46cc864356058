package broker

import (
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// An attempt that its executor has started may have to wait until its module is ready: it is compiled, or waits for its turn
// to be. As long as that is so its program has not begun, and the job is as movable as one that queues (rule J14).

// loads takes in that an attempt has to wait for its module, or need not, or not any more: then its program has begun.
func (a *attempts) loads(in Loads) {
	x := a.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || !x.started || x.stopping {
		return
	}
	x.began = x.began || !in.On
	if x.loading == in.On {
		return
	}
	x.loading = in.On
	if x.result == nil && !x.suspended {
		a.reportGoesOn(in.Key, x)
	}
}

// reportGoesOn writes that an attempt runs, or how else it stands, for the first time or again. One that loads says that
// it is queued, and that it loads: so those to whom loading is nothing, brokers of an earlier version, take it for what it may
// be treated as. One that must not run twice says that it runs, since it may before all have heard of it (rule J8).
func (a *attempts) reportGoesOn(key string, x *run) *job.Record {
	return a.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil {
			return nil
		}
		return old.With(dot, func(r *job.Record) {
			rep := job.Report{Attempt: x.as, Dot: dot, At: a.stamp(), Phase: job.Running}
			switch {
			case x.suspended:
				rep.Phase = job.Suspended
			case x.loading && r.Spec.MayRedeploy():
				rep.Phase = job.Queued
			}
			if !x.suspended {
				r.EndPauses(a.cityNow())
			}
			if x.loading && !x.suspended {
				r.SetLoading(rep)
			} else {
				r.SetReport(rep)
			}
		})
	})
}
