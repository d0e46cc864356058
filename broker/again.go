package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Whoever says that it has forgotten a job never takes it in again by the creations that it knows (rule L7). If a holder
// refutes that, the two hold different things for good, and the job waits for good where only the other can run it, or
// owns it. So the holder creates it again: by the new creation it comes to the other as any new job does (rule F3). That happens
// when more disks were lost together than hold copies, and when somebody was deceived, or lies.

// recreation is a job that this broker is to create again, since somebody does not take it in.
type recreation struct {
	at        time.Time
	creations int // of the job, when it was said to be forgotten: more of them, and another holder was faster
}

// How a job is created again.
const (
	recreateWithin = 10 * time.Second // spread, since all holders hear of it at about the same time
	recreateEach   = time.Minute      // at most so often: it may be a lie
)

// createLater lets this broker create a job again whose forgetting it has refuted. Only who has taken part since it was submitted
// does: who has come since may have it from a disk that was an older copy, and the others may well have forgotten it.
func (b *Broker) createLater(r *job.Record) {
	key := r.Key()
	if _, due := b.disputes.again[key]; due || len(r.Created) >= job.MaxCreated || b.needs(wire.V3) != nil || !b.tookPart(b.self, r.Submitted()) {
		return
	}
	at := b.now.Add(time.Duration(b.random.Fraction() * float64(recreateWithin)))
	b.disputes.again[key] = recreation{at, len(r.Created)}
	b.reviews.at(at, key)
}

// createAgain does so when it is time, and reports whether it has written the job.
func (b *Broker) createAgain(r *job.Record) bool {
	key := r.Key()
	due, ok := b.disputes.again[key]
	if !ok || b.now.Before(due.at) {
		return false
	}
	if due.creations == 0 || len(r.Created) > due.creations { // it was done, here or elsewhere
		delete(b.disputes.again, key)
		return false
	}
	b.writeAgain(kind.JobRef(key), func(clock.Dot) bool { return true })
	b.stats.Recreated++
	b.disputes.again[key] = recreation{at: b.now.Add(recreateEach)}
	b.reviews.at(b.now.Add(recreateEach), key)
	return true
}
