package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// When the sender of a transfer loses its disk before the last page, what its receivers have taken in has updates that no
// clock will ever cover, since others of that start are gone: orphans. The records are held, told, and run like any
// others. But an end that was written by such an update would never be stable, so never firm. So it is sealed (rule F2):
// the seal is an update of a broker that is there, it names the verdict, and whoever holds it holds both.
//
// That waits until every member has taken the orphans. By then whoever had another end of the job as stable has
// sealed that one, and we know of it.
type orphans struct {
	next  time.Time // when this broker looks for them
	after clock.Dot // behind which it goes on, when there are more than one round takes
}

// How orphans are looked for.
const (
	orphansEvery = 10 * time.Second
	orphansSoon  = time.Second // when there was more than one round takes
	orphansMost  = 256         // records a round
)

// due is when the next round is; zero is never.
func (b *Broker) orphansDue() time.Time {
	if b.ledger.Strays() == 0 {
		return time.Time{}
	}
	return b.orphans.next
}

// sealOrphans seals the ends that were written by orphans, those of which this broker would take over the job.
func (b *Broker) sealOrphans() {
	o := &b.orphans
	if b.now.Before(o.next) {
		return
	}
	o.next = b.now.Add(orphansEvery)
	if !b.sealsOrphans() {
		o.after = clock.Dot{}
		return
	}
	refs, last := b.ledger.StraysBehind(o.after, orphansMost)
	if o.after = last; !last.IsZero() {
		o.next = b.now.Add(orphansSoon)
	}
	for _, ref := range refs {
		if ref.Kind != kind.Job {
			continue
		}
		r := b.record(ref.Key)
		if r != nil && r.Finished() && b.isOrphan(r) {
			b.seal(ref.Key, *r.Verdict())
		}
	}
}

// sealsOrphans reports whether every member has taken all orphans, so that this broker may seal ends that they have written.
func (b *Broker) sealsOrphans() bool {
	return b.peers.StraysTaken() && b.proven() && b.needs(wire.V3) == nil
}

// isOrphan reports whether the end of a job was written by an orphan, and is this broker's to seal. Its stub may be all that is left: its
// retention may have come to an end while some member was away.
func (c *core) isOrphan(r *job.Record) bool {
	return !c.ledger.Has(deciding(r)) && !c.isDisputed(r.Key()) && c.successor(r.Key(), "") == c.self
}
