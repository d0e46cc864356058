package broker

import (
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// run is an attempt that this broker holds as executor.
type run struct {
	attempt  job.Attempt
	fetching bool // its inputs are on their way
	started  bool // the executor was told to run it
	stopping bool // and to stop; what it holds is not free yet
}

// reviewRun mends what this broker executes: it runs a job only while the record
// says so.
func (b *Broker) reviewRun(r *job.Record) {
	key := r.Key()
	have := b.runs[key]
	mine := !r.Finished() && r.Place.Actor == b.cfg.Actor
	if have != nil && (r.Finished() || b.superseded(r, have)) {
		b.drop(key, have)
	}
	if !mine || b.runs[key] != nil || b.reportedEnd(r) {
		return
	}
	if at := r.Place.NotBefore; at > job.At(b.now) {
		b.timers.add(at, key)
		return
	}
	b.take(r)
}

// superseded reports whether an attempt that this broker holds is to be given up
// for a newer one. One that has not started is, at once; so is one that its own
// owner has replaced. But a newer owner's attempt must first run: otherwise a
// node that was cut off steals what healthy ones are doing (rule J7).
func (b *Broker) superseded(r *job.Record, have *run) bool {
	switch {
	case r.Place.Attempt == have.attempt:
		return false
	case !have.started || r.Place.Attempt.Tenure == have.attempt.Tenure:
		return true
	case r.Place.Actor == b.cfg.Actor:
		return false // our own attempt under the older tenure goes on; its result counts
	}
	rep, ok := r.Present()
	return ok && rep.Phase != job.Queued
}

// reportedEnd reports whether this broker has already said how the present
// attempt ended, or that an earlier one of its own succeeded: another start would
// take that result's place in our slot before the owner has seen it (rule J5).
func (b *Broker) reportedEnd(r *job.Record) bool {
	for _, rep := range r.Reports {
		if rep.Dot.Actor == b.cfg.Actor && rep.Phase == job.Done {
			return rep.Attempt == r.Place.Attempt || rep.Result.Outcome == job.Succeeded
		}
	}
	return false
}

// take accepts an attempt that was placed here: fetch what is missing, then wait
// for its turn.
func (b *Broker) take(r *job.Record) {
	x := &run{attempt: r.Place.Attempt}
	b.runs[r.Key()] = x
	blobs := r.Spec.Blobs()
	if b.local.all(blobs) {
		b.queue.Add(resolve.CandidateOf(r))
		return
	}
	x.fetching = true
	var from []string
	for _, name := range append([]string{r.Owner.Broker, r.Origin}, b.names...) {
		if name != b.self && !slices.Contains(from, name) && (b.alive(name)) {
			from = append(from, name)
		}
	}
	b.out.Fetch = append(b.out.Fetch, Fetch{Key: r.Key(), Attempt: x.attempt, Digests: blobs, From: from})
}

// drop gives an attempt up. One that runs holds what it has until it is gone.
func (b *Broker) drop(key string, x *run) {
	switch {
	case x.stopping:
	case x.started:
		x.stopping = true
		b.out.Stop = append(b.out.Stop, Stop{Key: key, Attempt: x.attempt})
	default:
		b.queue.Remove(key)
		delete(b.runs, key)
	}
}

// fetched continues an attempt whose inputs have come, or fails it.
func (b *Broker) fetched(in Fetched) {
	x := b.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || !x.fetching {
		return
	}
	x.fetching = false
	r := b.record(in.Key)
	if r == nil {
		return
	}
	if in.Err != "" {
		now := job.At(b.now)
		b.reported(Reported{Key: in.Key, Attempt: in.Attempt, Result: job.Result{
			Outcome: job.Failed, Reason: "its inputs could not be fetched: " + in.Err, Started: now, Finished: now,
		}})
		return
	}
	for _, d := range r.Spec.Blobs() {
		b.local.add(d)
	}
	b.queue.Add(resolve.CandidateOf(r))
}

// startRuns lets the queue decide, and starts what it says: the record says so
// first, so that no attempt runs that the ledger does not know.
func (b *Broker) startRuns() {
	for {
		keys := b.queue.Decide()
		if len(keys) == 0 {
			return
		}
		for _, key := range keys {
			b.start(key)
		}
		b.reviewAll()
	}
}

func (b *Broker) start(key string) {
	x := b.runs[key]
	x.started = true
	r := b.report(key, x.attempt, job.Running, nil)
	if r == nil {
		return
	}
	b.out.Run = append(b.out.Run, Run{Key: key, ID: r.ID, Attempt: x.attempt, Spec: r.Spec})
}

// reported takes in how an attempt ended.
func (b *Broker) reported(in Reported) {
	x := b.runs[in.Key]
	if x == nil || x.attempt != in.Attempt {
		return // given up before it started
	}
	b.queue.Remove(in.Key)
	delete(b.runs, in.Key)
	if in.Stopped {
		b.reviewLater(in.Key) // a newer attempt may have waited for this
		return
	}
	if n := in.Result.Size(); n > job.MaxResult {
		in.Result = job.Result{
			Outcome: job.Failed, Permanent: true, Started: in.Result.Started, Finished: in.Result.Finished,
			Reason: fmt.Sprintf("the list of its output files takes %d bytes, at most %d are allowed: pack them into one file", n, job.MaxResult),
		}
	}
	b.report(in.Key, in.Attempt, job.Done, &in.Result)
}

// report writes this executor's own slot (rule J5).
func (b *Broker) report(key string, attempt job.Attempt, phase job.Phase, res *job.Result) *job.Record {
	return b.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil {
			return nil
		}
		return old.With(dot, func(r *job.Record) {
			r.SetReport(job.Report{Attempt: attempt, Dot: dot, At: b.stamp(), Phase: phase, Result: res})
		})
	})
}
