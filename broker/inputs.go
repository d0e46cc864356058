package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// The inputs of a job must be where it runs. Who holds them may be cut off or down for a
// while: that is no fault of the job, and a failure would be a verdict, which nobody takes
// back (rule J1). So the executor asks again, for as long as somebody is absent who may
// have them. They are lost when every member is there and says that it has them not.

// missing is what of an attempt's inputs could not be had, so far.
type missing struct {
	tries  int
	denied int       // in a row: times that all who live have said that they have them not
	lacks  string    // what, for a person
	again  time.Time // when they are asked for again; zero while they are
}

// How long an executor waits before it asks for inputs again, and how often all must have
// said that they have them not.
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
func (b *Broker) fetch(r *job.Record, x *run) {
	var from []string
	for _, name := range append([]string{r.Owner.Broker, r.Origin}, b.members.Names()...) {
		if name != b.self && !slices.Contains(from, name) && b.members.Alive(name) {
			from = append(from, name)
		}
	}
	x.inputs.again = time.Time{}
	b.out.Fetch = append(b.out.Fetch, Fetch{Key: r.Key(), Attempt: x.attempt, Digests: r.Spec.Blobs(), From: from})
}

// inputsLost reports whether inputs that did not come never will.
func (b *Broker) inputsLost(x *run, in Fetched) bool {
	x.inputs.tries++
	if !in.Nowhere {
		x.inputs.denied = 0
		return false
	}
	x.inputs.denied++
	return x.inputs.denied >= lostAfter && b.members.Complete()
}

// everybodyIsThere reports whether no member is absent.
func (b *Broker) everybodyIsThere() bool {
	for _, name := range b.members.Names() {
		if s := b.members.Get(name).Status; s != membership.Alive && s != membership.Left {
			return false
		}
	}
	return true
}

// fetchLater lets an attempt wait for its inputs.
func (b *Broker) fetchLater(r *job.Record, x *run, why string) {
	x.inputs.lacks = why
	x.inputs.again = b.now.Add(min(refetchMin<<min(x.inputs.tries-1, 8), refetchMax))
	b.timers.add(rounded(x.inputs.again), r.Key())
}

// fetchAgain asks again when it is time, unless the job's deadline has passed meanwhile.
func (b *Broker) fetchAgain(r *job.Record, x *run) {
	if !x.fetching || x.inputs.again.IsZero() {
		return
	}
	if at := r.Spec.Priority.Deadline; at != 0 && clock.At(b.wall) > at {
		b.decide(r.Key(), job.Expired, "its deadline passed before its inputs came: "+x.inputs.lacks, nil)
		return
	}
	if !b.now.Before(x.inputs.again) {
		b.fetch(r, x)
	}
}

// fetchSoon lets those ask at once who wait for their inputs: somebody has come back.
func (b *Broker) fetchSoon() {
	for key, x := range b.runs {
		if x.fetching && !x.inputs.again.IsZero() {
			x.inputs.again = b.now
			b.timers.add(rounded(b.now), key)
		}
	}
}
