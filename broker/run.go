package broker

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// run is an attempt that this broker holds as executor.
type run struct {
	attempt    job.Attempt // as the executor was told: the job's fencing token
	as         job.Attempt // as it is reported: a newer owner may have adopted it (rule J7)
	fetching   bool        // its inputs are on their way
	inputs     missing     // what of them could not be had
	started    bool        // the executor was told to run it
	stopping   bool        // and to stop; what it holds is not free yet
	requeue    bool        // for a while only, since another job needs the room
	suspending bool        // it was told to stand still
	suspended  bool        // and does

	// Result is how it ended, while its output is brought to other brokers: only then
	// the record says so (rule J11).
	result *job.Result
}

// reviewRun mends what this broker executes: it runs a job only while the record
// says so.
func (b *Broker) reviewRun(r *job.Record) {
	key := r.Key()
	have := b.runs[key]
	mine := !r.Finished() && r.Place.Actor == b.cfg.Actor
	if have != nil && (r.Finished() || b.superseded(r, have)) {
		if !r.Finished() && have.started && !have.stopping {
			b.ranTwice(r)
		}
		b.drop(key, have)
	}
	if x := b.runs[key]; mine && x != nil && x.started && !x.stopping && x.as != r.Place.Attempt {
		x.as = r.Place.Attempt
		if x.result == nil {
			b.report(key, x.as, phaseOf(x), nil)
		}
		return
	}
	if x := b.runs[key]; mine && x != nil {
		b.yieldKey(r, x)
		b.fetchAgain(r, x)
	}
	if !mine || b.runs[key] != nil || b.reportedEnd(r) || b.draining || b.old(r) {
		return
	}
	if !r.Spec.MayRedeploy() && !b.mayStart(r) {
		return
	}
	delete(b.cautious, key)
	if b.pausing(r) || b.isBehind(r) {
		return
	}
	b.take(r)
}

func phaseOf(x *run) job.Phase {
	if x.suspended {
		return job.Suspended
	}
	return job.Running
}

// pause is a retry that waits.
type pause struct {
	attempt job.Attempt
	until   time.Time
}

// pausing reports whether a retry must still wait: until the time that its owner named,
// but never longer than the pause itself, since the owner's clock and ours may
// differ by an hour.
func (b *Broker) pausing(r *job.Record) bool {
	key := r.Key()
	p, known := b.pauses[key]
	if !known || p.attempt != r.Place.Attempt {
		wait := min(r.Place.NotBefore.Time().Sub(b.wall), backoff(&r.Spec, r.Place.Try-1))
		if r.Place.NotBefore == 0 || wait <= 0 {
			delete(b.pauses, key)
			return false
		}
		p = pause{r.Place.Attempt, b.now.Add(wait)}
		b.pauses[key] = p
		b.timers.add(rounded(p.until), key)
	}
	if b.now.Before(p.until) {
		return true
	}
	delete(b.pauses, key)
	return false
}

// superseded reports whether an attempt that this broker holds is to be given up
// for a newer one. One that has not started is, at once. One that runs goes on
// until the newer runs, whoever placed it: otherwise a node that was cut off
// steals what healthy ones are doing (rule J7).
func (b *Broker) superseded(r *job.Record, have *run) bool {
	switch {
	case r.Place.Attempt == have.as:
		return false
	case !have.started:
		return true
	case r.Place.Actor == b.cfg.Actor:
		return false // our own older attempt goes on; its result counts
	}
	rep, ok := r.Present()
	return ok && rep.Phase != job.Queued && rep.Phase != job.Stopped
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
	x := &run{attempt: r.Place.Attempt, as: r.Place.Attempt}
	b.runs[r.Key()] = x
	blobs := r.Spec.Blobs()
	if b.blobs.Has(b.self, blobs) {
		b.enqueue(r)
		return
	}
	x.fetching = true
	b.fetch(r, x)
}

// drop gives an attempt up. One that runs holds what it has until it is gone.
func (b *Broker) drop(key string, x *run) {
	switch {
	case x.stopping:
		x.requeue = false // it will not be back
	case x.result != nil: // it came too late, and is remembered (rule J1)
		b.settle(key, x)
	case x.started:
		x.stopping = true
		b.queue.Stop(key)
		b.out.Stop = append(b.out.Stop, Stop{Key: key, Attempt: x.attempt})
	default:
		b.queue.Remove(key)
		b.undecided = true
		delete(b.runs, key)
	}
}

// fetched continues an attempt whose inputs have come, or fails it.
func (b *Broker) fetched(in Fetched) {
	x := b.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || !x.fetching {
		return
	}
	r := b.record(in.Key)
	if r == nil {
		x.fetching = false
		return
	}
	if in.Err != "" && !b.inputsLost(x, in) {
		b.fetchLater(r, x, in.Err)
		return
	}
	x.fetching = false
	if in.Err != "" {
		now := clock.At(b.wall)
		b.reported(Reported{Key: in.Key, Attempt: in.Attempt, Result: job.Result{
			Outcome: job.Failed, Reason: "its inputs could not be fetched: " + in.Err, Started: now, Finished: now,
		}})
		return
	}
	b.blobs.Saw(r.Spec.Blobs()...)
	b.enqueue(r)
}

func (b *Broker) enqueue(r *job.Record) {
	b.queue.Add(b.candidate(r))
	b.undecided = true
}

// mayStart reports whether as many brokers hold the record that says where a job
// runs as hold a submission, for one that must run once only (rule J8). Like a
// submission it waits for AckTimeout at most.
func (b *Broker) mayStart(r *job.Record) bool {
	until, waits := b.cautious[r.Key()]
	if !waits {
		until = b.now.Add(b.cfg.AckTimeout)
		b.cautious[r.Key()] = until
		b.timers.add(rounded(until), r.Key())
	}
	n := 1
	for _, name := range b.members.Names() {
		if b.peers.Covers(name, r.Dots) {
			n++
		}
	}
	return n >= b.acks.Goal() || !b.now.Before(until)
}

func (b *Broker) start(key string) {
	x := b.runs[key]
	x.started = true
	r := b.reportGoesOn(key, x.attempt)
	if r == nil {
		return
	}
	b.out.Run = append(b.out.Run, Run{
		Key: key, ID: r.ID, Attempt: x.attempt, Spec: r.Spec,
		Waited: max(0, b.wall.Sub(clock.TimeOf(r.Submitted()).Time())),
	})
}

// reported takes in how an attempt ended.
func (b *Broker) reported(in Reported) {
	x := b.runs[in.Key]
	if x == nil || x.attempt != in.Attempt {
		return // given up before it started
	}
	b.undecided = true
	if in.Stopped && x.requeue {
		b.requeued(in.Key, x)
		return
	}
	b.queue.Remove(in.Key)
	if in.Stopped {
		delete(b.runs, in.Key)
		b.reviewLater(in.Key) // a newer attempt may have waited for this
		if r := b.record(in.Key); r != nil && !r.Finished() {
			b.report(in.Key, x.as, job.Stopped, nil) // nobody need adopt it (rule J7)
		}
		return
	}
	if n := in.Result.Size(); n > job.MaxResult {
		in.Result = job.Result{
			Outcome: job.Failed, Permanent: true, Started: in.Result.Started, Finished: in.Result.Finished,
			Reason: fmt.Sprintf("the list of its output files takes %d bytes, at most %d are allowed: pack them into one file", n, job.MaxResult),
		}
	}
	x.result = &in.Result
	b.settling[in.Key] = x
	b.blobs.Saw(in.Result.Blobs()...)
	b.blobs.Spread(in.Result.Blobs(), b.acks.Reach())
	if r := b.record(in.Key); r == nil || r.Finished() {
		b.stats.Rejected++
		b.settle(in.Key, x)
		return
	}
	b.settleRuns()
}

// settleRuns reports the results whose output is on as many brokers as a
// submission's inputs, or as live and take it (rule J11).
func (b *Broker) settleRuns() {
	for _, key := range slices.Sorted(maps.Keys(b.settling)) {
		x := b.settling[key]
		blobs := x.result.Blobs()
		if len(blobs) == 0 || b.acks.Copies(clock.Dot{Actor: b.cfg.Actor}, blobs) >= b.acks.Goal() || !b.blobs.Travels(blobs) {
			b.settle(key, x)
		}
	}
}

// settle writes down how an attempt ended.
func (b *Broker) settle(key string, x *run) {
	delete(b.runs, key)
	delete(b.settling, key)
	b.report(key, x.as, job.Done, x.result)
}

// report writes this executor's own slot (rule J5).
func (b *Broker) report(key string, attempt job.Attempt, phase job.Phase, res *job.Result) *job.Record {
	return b.reportWith(key, attempt, phase, res, func(*job.Record) {})
}

// reportWith is report, and says more in the same update.
func (b *Broker) reportWith(key string, attempt job.Attempt, phase job.Phase, res *job.Result, more func(*job.Record)) *job.Record {
	return b.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if old == nil {
			return nil
		}
		return old.With(dot, func(r *job.Record) {
			r.SetReport(job.Report{Attempt: attempt, Dot: dot, At: b.stamp(), Phase: phase, Result: res})
			more(r)
		})
	})
}
