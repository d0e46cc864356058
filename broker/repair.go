package broker

import (
	"time"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// repairer keeps the inputs of this broker's unfinished jobs on as many brokers as a submission asks for, when those
// that held them are lost, or come back with another disk (rule R3).
type repairer struct {
	*core
	next time.Time    // when it goes on; zero while nothing has changed
	todo []ledger.Ref // jobs of this pass that it has yet to look at
}

// How copies of inputs are repaired.
const (
	repairAfter = 5 * time.Second // many members may change at once
	repairMost  = 256             // jobs a round
	repairSoon  = time.Second     // to the next round of a pass
)

// changed says that other brokers are there than before: a pass over all jobs begins soon.
func (p *repairer) changed() {
	p.todo, p.next = nil, p.now.Add(repairAfter)
}

// pass asks those that are to hold copies of inputs whether they do, unless that is known, and brings them what they
// lack. Whoever has lately confirmed a blob is not asked again.
func (p *repairer) pass() {
	if p.next.IsZero() || p.now.Before(p.next) {
		return
	}
	if p.todo == nil {
		p.todo = p.liveJobs(func(r *job.Record) bool { return r.Owner.Broker == p.self && len(r.Spec.Blobs()) > 0 })
	}
	n := min(len(p.todo), repairMost)
	for _, ref := range p.todo[:n] {
		if r := p.record(ref.Key); r != nil && !r.Finished() && !p.blobs.Lacks(r.Spec.Blobs()) {
			p.blobs.Spread(r.Spec.Blobs(), p.copies.Reach())
		}
	}
	p.todo, p.next = p.todo[n:], p.now.Add(repairSoon)
	if len(p.todo) == 0 {
		p.todo, p.next = nil, time.Time{}
	}
}
