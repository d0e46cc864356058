package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// attempts are what this broker executes, or is about to. Each is reviewed when its record has
// changed: a job runs here only while the record says so.
type attempts struct {
	*core
	decisions   *decisions
	causality   *causality
	checkpoints *checkpoints

	runs      map[string]*run      // attempts that this broker holds, by key
	settling  map[string]*run      // of runs: ended, and their output is brought to other brokers (rule J11)
	pauses    map[string]pause     // retries that wait here for their time
	cautious  map[string]time.Time // jobs that may run only once: they wait until their placement is durable, or until then (rule J8)
	displaced map[string]displaced // jobs that had to make room, by key

	settled func(output []job.Digest) // hears of the output of each attempt that has ended
}

func newAttempts(c *core, d *decisions, causality *causality, checkpoints *checkpoints) attempts {
	return attempts{
		core: c, decisions: d, causality: causality, checkpoints: checkpoints,
		runs: map[string]*run{}, settling: map[string]*run{}, pauses: map[string]pause{},
		cautious: map[string]time.Time{}, displaced: map[string]displaced{},
	}
}

// keys lists the jobs of which this broker holds an attempt, sorted.
func (a *attempts) keys() []string { return slices.Sorted(maps.Keys(a.runs)) }

// running reports whether an attempt runs here, or is not gone yet.
func (a *attempts) running() bool {
	for _, x := range a.runs {
		if x.started {
			return true
		}
	}
	return false
}

// ended says that a job has ended: nothing of it waits here any more.
func (a *attempts) ended(key string) {
	delete(a.cautious, key)
	delete(a.pauses, key)
	delete(a.displaced, key)
	delete(a.checkpoints.spreading, key)
}

// forget gives up what this broker does for a job that is forgotten.
func (a *attempts) forget(key string) {
	if x := a.runs[key]; x != nil {
		x.forgotten = true
		a.drop(key, x)
	}
	a.ended(key)
}

// dropAll gives up all attempts.
func (a *attempts) dropAll() {
	for _, key := range a.keys() {
		a.drop(key, a.runs[key])
	}
}

// reviewCautious looks again at the jobs that wait until their placement is durable.
func (a *attempts) reviewCautious() {
	for _, key := range slices.Sorted(maps.Keys(a.cautious)) {
		a.reviews.later(key)
	}
}

// displacedBy lists the jobs that had to make room for one.
func (a *attempts) displacedBy(id job.ID) (out []job.ID) {
	for _, key := range slices.Sorted(maps.Keys(a.displaced)) {
		if a.displaced[key].by == id {
			out = append(out, idOf(key))
		}
	}
	return out
}

// run is an attempt that this broker holds as executor.
type run struct {
	attempt    job.Attempt     // as the executor was told: the job's fencing token
	as         job.Attempt     // as it is reported: a newer owner may have adopted it (rule J7)
	fetching   bool            // its inputs are on their way
	inputs     missing         // what of them could not be fetched so far
	given      *job.Record     // the job as it stood when the attempt was taken, if it reads of others, or takes checkpoints: it is given what they had left by then (rule C6)
	lost       *job.Checkpoint // that nobody has any more: it begins from the beginning (rule J17)
	started    bool            // the executor was told to run it
	loading    bool            // the executor has said that its module is not ready: the program has not begun (rule J14)
	began      bool            // the executor has said that its program begins; while that is unknown the job is shown as starting
	stopping   bool            // the executor was told to stop it; what it holds is not free yet
	requeue    bool            // it is stopped to make room, and runs again later
	gone       bool            // it has stopped, and what it has written is being stored
	again      bool            // of one that is gone: its turn has come, and it starts when that is stored
	suspending bool            // it was told to stand still
	suspended  bool            // it stands still
	forgotten  bool            // its job is: one that is created again with the same key is another, of which it says nothing (rule L7)

	// result is how it ended, while its output is brought to other brokers; the record says so
	// only afterwards (rule J11). If it is kept, it was stopped to run again, and this is what it left (rule J13).
	result *job.Result
	kept   bool
}

// review mends what this broker executes: it runs a job only while the record
// says so.
func (a *attempts) review(r *job.Record) {
	key := r.Key()
	have := a.runs[key]
	mine := !r.Finished() && a.ours(r.Place.Actor)
	if have != nil && (r.Finished() || a.superseded(r, have)) {
		if !r.Finished() && have.started && !have.loading && !have.stopping {
			a.decisions.ranTwice(r)
		}
		a.drop(key, have)
	}
	if x := a.runs[key]; mine && x != nil && x.started && !x.stopping && x.as != r.Place.Attempt {
		x.as = r.Place.Attempt
		if x.result == nil {
			a.reportGoesOn(key, x)
		}
		return
	}
	if x := a.runs[key]; mine && x != nil && x.outdatedBasis(r) {
		a.drop(key, x) // and take it again, with the newer checkpoint (rule J17)
	}
	if x := a.runs[key]; mine && x != nil && a.leavesHere(r, x) {
		a.drop(key, x)
	}
	if x := a.runs[key]; mine && x != nil {
		a.yieldKey(r, x)
		a.fetchAgain(r, x)
	}
	if mine && a.goesBack(r) {
		a.giveBack(r)
	}
	if !mine || a.runs[key] != nil || a.reportedEnd(r) || a.startsNothing(r) || a.suspect(r) {
		return
	}
	if !r.Spec.MayRedeploy() && !a.mayStart(r) {
		return
	}
	if !r.Spec.MayRedeploy() && a.lostTrack(r) {
		a.report(key, r.Place.Attempt, job.Done, &job.Result{
			Outcome: job.Failed, Permanent: true,
			Reason: "it ran when this broker was copied, and the copy goes on: it may have run, and redeploy is false",
		})
		return
	}
	delete(a.cautious, key)
	if a.pausing(r) || a.causality.isBehind(r, a.decisions.strategy()) {
		return
	}
	a.take(r)
}

// superseded reports whether an attempt that this broker holds is to be given up for a newer one:
// at once if it has not started, or loads (rule J14); if it runs, only when the newer one runs, whichever broker placed
// that. Otherwise a broker that was cut off would take away what healthy ones are doing (rule J7).
func (a *attempts) superseded(r *job.Record, have *run) bool {
	switch {
	case r.Place.Attempt == have.as:
		return false
	case !have.started:
		return true
	case a.ours(r.Place.Actor):
		return false // our own older attempt goes on; its result counts
	}
	return r.Started() || have.loading && r.Spec.MayRedeploy()
}

// reportedEnd reports whether this broker has already said how the present
// attempt ended, or that an earlier one of its own succeeded: another start would
// take that result's place in our slot before the owner has seen it (rule J5).
func (a *attempts) reportedEnd(r *job.Record) bool {
	return slices.ContainsFunc(r.Reports, func(rep job.Report) bool { // one of each start of this process (rule K3)
		return a.ours(rep.Dot.Actor) && rep.Phase == job.Done && (rep.Attempt == r.Place.Attempt || rep.Result.Outcome == job.Succeeded)
	})
}

// lostTrack reports whether an attempt runs by a report of this process, which knows nothing of it: so this is an older copy
// of it, as of a machine that was resumed (rule K3).
func (a *attempts) lostTrack(r *job.Record) bool {
	rep, ok := r.Present()
	return ok && a.ours(rep.Dot.Actor) && (rep.Phase == job.Running || rep.Phase == job.Suspended)
}

// take accepts an attempt that was placed here: fetch what is missing, then wait
// for its turn.
func (a *attempts) take(r *job.Record) {
	x := &run{attempt: r.Place.Attempt, as: r.Place.Attempt}
	a.runs[r.Key()] = x
	if len(r.Readings()) > 0 || r.Spec.Checkpoint != nil {
		x.given = r
	}
	if a.blobs.Has(a.self, x.basis(r).Needs()) {
		a.enqueue(r)
		return
	}
	x.fetching = true
	a.fetch(r, x)
}

// basis is the record that says what the attempt is given.
func (x *run) basis(r *job.Record) *job.Record {
	if x.given != nil {
		return x.given
	}
	return r
}

func (a *attempts) enqueue(r *job.Record) {
	a.decisions.add(r)
}

// pause is a retry that waits.
type pause struct {
	attempt job.Attempt
	until   time.Time
}

// pausing reports whether a retry must still wait: until the time that its owner named,
// but never longer than the pause itself, since the owner's clock and ours may
// differ by an hour.
func (a *attempts) pausing(r *job.Record) bool {
	key := r.Key()
	p, known := a.pauses[key]
	if !known || p.attempt != r.Place.Attempt {
		longest := backoff(&r.Spec, r.Place.Try-1)
		if len(r.Returns) > 0 {
			longest = max(longest, returnPause(r))
		}
		wait := min(r.Place.NotBefore.Time().Sub(a.cityTime()), longest)
		if r.Place.NotBefore == 0 || wait <= 0 {
			delete(a.pauses, key)
			return false
		}
		p = pause{r.Place.Attempt, a.now.Add(wait)}
		a.pauses[key] = p
		a.reviews.at(p.until, key)
	}
	if a.now.Before(p.until) {
		return true
	}
	delete(a.pauses, key)
	return false
}

// mayStart reports whether as many brokers hold the record that says where a job
// runs as hold a submission, for one that must run once only (rule J8). Like a
// submission it waits for AckTimeout at most.
func (a *attempts) mayStart(r *job.Record) bool {
	until, waits := a.cautious[r.Key()]
	if !waits {
		until = a.now.Add(a.cfg.AckTimeout)
		a.cautious[r.Key()] = until
		a.reviews.at(until, r.Key())
	}
	n := 1
	for _, name := range a.members.Names() {
		if a.peers.HoldsAll(name, r.Dots) {
			n++
		}
	}
	return n >= a.copies.Goal() || !a.now.Before(until)
}

// drop gives an attempt up. One that runs holds what it has until it is gone.
func (a *attempts) drop(key string, x *run) {
	switch {
	case x.stopping:
		x.requeue, x.again = false, false // it will not run again
		if x.gone {
			a.decisions.remove(key)
		}
	case x.result != nil: // it came too late, and is remembered (rule J1)
		a.settle(key, x)
	case x.started:
		x.stopping = true
		a.decisions.stop(key)
		a.out.Stop = append(a.out.Stop, Stop{Key: key, Attempt: x.attempt, Keep: a.keeps(key)})
	default:
		a.decisions.remove(key)
		delete(a.runs, key)
	}
}

// keeps reports whether what an attempt has written that is told to stop is kept (rule J13): its job has ended without a result,
// or goes on elsewhere since this broker is to run nothing, and not because another attempt runs.
func (a *attempts) keeps(key string) bool {
	r := a.record(key)
	return a.endedWithout(key) || r != nil && !r.Finished() && (a.offer.draining || a.drained(a.self))
}

// endedWithout reports whether a job has ended without a result: it was cancelled, say.
func (a *attempts) endedWithout(key string) bool {
	r := a.record(key)
	return r != nil && r.Finished() && r.Accepted() == nil
}

func (a *attempts) start(key string) {
	x := a.runs[key]
	if x.gone {
		x.again = true
		return
	}
	x.started, x.began = true, false
	r := a.reportGoesOn(key, x)
	if r == nil {
		return
	}
	a.out.Run = append(a.out.Run, Run{
		Key: key, ID: r.ID, Attempt: x.attempt, Spec: x.basis(r).Resolved(), From: x.from(a.checkpoints.newest(key, x.basis(r))),
		Waited: max(0, a.cityTime().Sub(clock.TimeOf(r.Submitted()).Time())),
	})
}
