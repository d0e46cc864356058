package broker

import (
	"maps"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// drain begins the graceful leave, or hurries it.
func (b *Broker) drain(in Drain) {
	if b.drainer != 0 {
		b.answer(b.drainer, &Drained{Left: b.ownedHere()})
	}
	b.drainer = in.Token
	if !b.draining {
		b.draining = true
		b.reviewWhere(nil)
	}
	if !in.Now {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(b.runs)) {
		b.drop(key, b.runs[key])
	}
}

// handOver gives an own job to the broker that rendezvous names, in the next epoch.
// Where it runs stays as it is: the new owner sees to that.
func (b *Broker) handOver(r *job.Record) {
	to := b.members.Successor(r.Key(), b.self, !b.draining)
	if to == "" || b.members.Get(to).Actor == "" {
		return
	}
	b.own(r, to, b.members.Get(to).Actor)
	b.out.Handed = append(b.out.Handed, Handover{ID: r.ID, To: to})
	b.stats.Handed++
}

// own makes a broker the owner in the next epoch.
func (b *Broker) own(r *job.Record, name string, actor clock.Actor) {
	b.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		return old.With(dot, func(r *job.Record) {
			r.Owner = job.Assignment{
				Tenure: job.Tenure{Epoch: old.Owner.Tenure.Epoch + 1, At: b.stamp(), By: b.cfg.Actor},
				Broker: name, Actor: actor,
			}
		})
	})
}

// ownedHere counts the unfinished jobs that this broker owns.
func (b *Broker) ownedHere() (n int) {
	for _, k := range b.jobs.owned[b.self] {
		n += k
	}
	return n
}

// checkDrained answers the drain when nothing runs here, and what was handed over is
// held by as many as hold a submission, and by all who live. Who has left counts no
// more where all must know of a verdict (rule A3), so that nothing may be on its disk
// alone: it could hold an earlier verdict, and come back with it.
func (b *Broker) checkDrained() {
	if b.drainer == 0 || len(b.review) > 0 {
		return
	}
	for _, x := range b.runs {
		if x.started {
			return
		}
	}
	left := b.ownedHere()
	if left > 0 && b.members.Successor("", b.self, !b.draining) != "" {
		return // they are still to be handed over
	}
	if h := b.peers.HandOver(); h.Holders >= b.acks.Goal() && h.Living {
		b.answer(b.drainer, &Drained{Left: left, Known: h.All})
		b.drainer = 0
	}
}
