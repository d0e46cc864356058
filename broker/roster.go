package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// setRoster takes in the membership as SWIM sees it.
func (b *Broker) setRoster(all []membership.Member) { b.membersChanged(b.members.Update(b.now, all)) }

// prove takes in that a member has heard what this broker sent at an instant (rule P1).
func (b *Broker) prove(name string, actor clock.Actor, said *wire.Metadata, heard time.Time) {
	process := clock.Actor("")
	if said != nil {
		process = said.Process
	}
	if b.members.Prove(b.now, name, actor, process, heard) {
		b.stats.ProvenAlive++
		b.membersChanged(b.members.Review(b.now))
	}
}

// membersChanged follows a change of who is there.
func (b *Broker) membersChanged(c membership.Change) {
	for _, name := range c.Foreign {
		b.breach(name, "X2", "its tags name the actor of another")
	}
	for _, name := range c.Gone {
		b.peers.Drop(name)
		b.blobs.Drop(name)
		delete(b.breaches, name)
	}
	for _, name := range c.Restarted {
		b.blobs.Drop(name)
	}
	for _, name := range b.members.Names() {
		b.peers.Meet(b.members.Get(name), c.Was[name])
	}
	b.enrolment.look()
	b.peers.Recount()
	b.asking, b.renewing = time.Time{}, b.now.Add(renewEvery)
	if c.Isolated {
		b.stats.Isolations++
	}
	switch {
	case c.Joined && b.needs(wire.V3) != nil:
		b.distrust() // without a roll others forget without who is away
	case c.Joined:
		b.peers.HoldBack(b.stamp()) // it may have been away for long
	}
	if c.Runners {
		b.repairer.changed()
		b.names.changed()
		b.decisions.holdersChanged()
		b.attempts.fetchSoon()
		b.reviewMembers()
		b.checkAcks()
	}
}

// How often a broker is asked that SWIM says has failed: until it is lost, and while it has a lease (rule P1).
const (
	askEvery   = time.Second
	renewEvery = 10 * time.Second
)

// checkAbsences asks those of whom SWIM says that they have failed whether they are there (rule P1): between two
// exchanges nothing else may pass that could prove it. Then it looks again at the jobs of brokers that are lost now.
func (b *Broker) checkAbsences() {
	if b.members.LeaseEnded(b.now) {
		b.membersChanged(b.members.Review(b.now))
	}
	if !b.now.Before(b.asking) {
		b.asking = b.now.Add(askEvery)
		for _, name := range b.members.Doubted() {
			b.peers.Retry(name)
		}
	}
	if !b.now.Before(b.renewing) {
		b.renewing = b.now.Add(renewEvery)
		for _, name := range b.members.Proven() {
			b.peers.Retry(name)
		}
	}
	for _, name := range b.members.Expire(b.now) {
		b.decisions.holdersChanged()
		b.reviewWhere(func(r *job.Record) bool { return r.Owner.Broker == name || r.Place.Broker == name })
	}
}

// learn takes in what a broker says of itself, but for its clock: what it holds is known to the
// link with it. Direct: it came in a message of that broker.
func (b *Broker) learn(said wire.Metadata, direct bool) {
	said.Clock = nil
	if b.members.Learn(said, direct) {
		b.reviewMembers()
	}
}

// reviewMembers looks again at the jobs that a change of the membership concerns: those that
// this broker owns, or whose owner is absent.
func (c *core) reviewMembers() {
	c.reviewWhere(func(r *job.Record) bool {
		return r.Owner.Broker == c.self || c.members.Absent(r.Owner.Broker)
	})
}
