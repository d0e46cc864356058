package broker

// The inputs of a job must be where it runs. Whichever broker holds them may be cut off or down for
// a while: that is not the job's fault, and a failure would be a verdict, which is final (rule J1).
// So the executor asks again, for as long as a broker is absent that may have them. They are lost
// when every member is there and says that it has none of them.

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/job"
)

// missing says which of an attempt's inputs could not be fetched so far.
type missing struct {
	tries  int
	denied int       // times in a row that every live broker has said that it does not have them
	lacks  string    // what, for a person
	again  time.Time // when they are asked for again; zero while they are

	urgency int // that the shell was told last
}

// How long an executor waits before it asks for inputs again, and how often every live broker must
// have said that it does not have them.
const (
	refetchMin = 5 * time.Second
	refetchMax = time.Minute
	lostAfter  = 2
)

func (m missing) why() string {
	if m.lacks == "" {
		return "fetching its inputs"
	}
	return "waits for its inputs, which brokers that do not answer may hold: " + m.lacks
}

// fetch asks for an attempt's inputs.
func (a *attempts) fetch(r *job.Record, x *run) {
	var from []string
	for _, name := range append([]string{r.Owner.Broker, r.Origin}, a.members.Names()...) {
		if name != a.self && !slices.Contains(from, name) && a.members.Alive(name) {
			from = append(from, name)
		}
	}
	x.inputs.again, x.inputs.urgency = time.Time{}, a.urgency(r)
	a.out.Fetch = append(a.out.Fetch, Fetch{Key: r.Key(), Attempt: x.attempt, Digests: x.basis(r).Needs(), From: from, Urgency: x.inputs.urgency})
}

// urgency is how urgent it is that a job's inputs come: first by its emergency level, or that of a job that waits for it, then by its
// user's priority.
func (a *attempts) urgency(r *job.Record) int {
	level, _ := a.decisions.emergencies.activeSet.Level(&r.Spec)
	raised, _ := a.decisions.raised(r, &a.decisions.emergencies.activeSet)
	return max(level, raised)*(job.MaxUserPriority+1) + int(r.Spec.Priority.User)
}

// hurry says which of the inputs that are on their way are of another urgency now.
func (a *attempts) hurry() {
	for _, key := range a.keys() {
		x, r := a.runs[key], a.record(key)
		if r == nil || !x.fetching || !x.inputs.again.IsZero() {
			continue
		}
		if u := a.urgency(r); u != x.inputs.urgency {
			x.inputs.urgency = u
			a.out.Hurry = append(a.out.Hurry, Hurry{Key: key, Urgency: u})
		}
	}
}

// fetched continues an attempt whose inputs have come, or fails it.
func (a *attempts) fetched(in Fetched) {
	x := a.runs[in.Key]
	if x == nil || x.attempt != in.Attempt || !x.fetching {
		return
	}
	r := a.record(in.Key)
	if r == nil {
		x.fetching = false
		return
	}
	if in.Err != "" && !a.inputsLost(x, in) {
		a.fetchLater(r, x, in.Err)
		return
	}
	if in.Err != "" && a.loses(x, r) {
		a.fetch(r, x)
		return
	}
	x.fetching = false
	if in.Err != "" {
		now := a.cityNow()
		a.reported(Reported{Key: in.Key, Attempt: in.Attempt, Result: job.Result{
			Outcome: job.Failed, Reason: "its inputs could not be fetched: " + in.Err, Started: now, Finished: now,
		}})
		return
	}
	a.blobs.Saw(x.basis(r).Needs()...)
	a.enqueue(r)
}

// inputsLost reports whether inputs that did not come are lost for good.
func (a *attempts) inputsLost(x *run, in Fetched) bool {
	x.inputs.tries++
	if !in.Nowhere {
		x.inputs.denied = 0
		return false
	}
	x.inputs.denied++
	return x.inputs.denied >= lostAfter && a.members.Complete()
}

// fetchLater lets an attempt wait for its inputs.
func (a *attempts) fetchLater(r *job.Record, x *run, why string) {
	x.inputs.lacks = why
	x.inputs.again = a.now.Add(min(refetchMin<<min(x.inputs.tries-1, 8), refetchMax))
	a.reviews.at(x.inputs.again, r.Key())
}

// fetchAgain asks again when it is time, unless the job's deadline has passed meanwhile.
func (a *attempts) fetchAgain(r *job.Record, x *run) {
	if !x.fetching || x.inputs.again.IsZero() {
		return
	}
	if at := a.deadline(r); at != 0 && a.cityNow() > at {
		a.decide(r.Key(), job.Expired, "its deadline passed before its inputs came: "+x.inputs.lacks, nil)
		return
	}
	if !a.now.Before(x.inputs.again) {
		a.fetch(r, x)
	}
}

// fetchSoon lets the attempts that wait for their inputs ask at once: a broker has come back.
func (a *attempts) fetchSoon() {
	for key, x := range a.runs {
		if x.fetching && !x.inputs.again.IsZero() {
			x.inputs.again = a.now
			a.reviews.at(a.now, key)
		}
	}
}

// whyFetching says that an attempt waits for its inputs, "" when it does not.
func (a *attempts) whyFetching(key string) string {
	if x := a.runs[key]; x != nil && x.fetching {
		return x.inputs.why()
	}
	return ""
}
