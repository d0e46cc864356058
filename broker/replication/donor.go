package replication

import (
	"time"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// lease is from whom this broker gets what it lacks, when that does not fit into a message: from one member, its
// donor (rule R1). Otherwise each of twenty would send a joiner the whole table.
type lease struct {
	donor clock.Actor // "" while there is none
	upto  clock.Tips  // what the donor held when it was chosen: others send only what is newer
	until time.Time   // when it ends unless a page comes
	blind bool        // we have covered upto from the start: what is to come no clock covers
}

// leaseTerm is for how long a donor may send nothing: more than a peer has to answer (rule S5).
const leaseTerm = 15 * time.Second

// CatchingUp reports whether this broker is being sent what does not fit into a message.
func (r *Replication) CatchingUp() bool { return r.lease.donor != "" }

// leased is what messages say of the lease, nil without one.
func (r *Replication) leased() *wire.Lease {
	if r.lease.donor == "" {
		return nil
	}
	return &wire.Lease{Donor: r.lease.donor, Upto: r.lease.upto}
}

// offered takes a member for the donor that holds much more than we do, unless there is one. The last one that
// sent nothing is taken again only when there is nobody else.
func (r *Replication) offered(s Said) {
	if r.lease.donor != "" || !r.gives(s.Actor) || s.Actor == r.spurned && r.members.Living() > 2 {
		return
	}
	r.lease = lease{donor: s.Actor, upto: s.Clock, until: r.now.Add(leaseTerm), blind: r.ledger.Covers(s.Clock)}
}

// gives reports whether a start of a member may be a donor: it has spoken last of all, and is there.
func (r *Replication) gives(a clock.Actor) bool {
	l := r.links[a.Broker()]
	return l != nil && l.actor == a && r.members.Alive(a.Broker())
}

// progressed notes that a page came: its sender is the donor, or becomes it, since one of protocol 1 does not ask.
func (r *Replication) progressed(m *wire.Message) {
	if !m.Page.Last {
		r.offered(Said{Actor: m.Actor, Clock: m.Clock})
	}
	switch {
	case m.Actor != r.lease.donor:
	case m.Page.Last:
		r.spurned = ""
		r.endLease()
	default:
		r.lease.until = r.now.Add(leaseTerm)
	}
}

// reviewLease ends the lease when its donor is gone or sends nothing, or when there is nothing left to send.
func (r *Replication) reviewLease() {
	switch d := r.lease.donor; {
	case d == "":
	case !r.gives(d) || !r.now.Before(r.lease.until):
		r.spurned = d
		r.endLease()
	case !r.lease.blind && r.ledger.Covers(r.lease.upto):
		r.endLease()
	}
}

// endLease asks all those who hold more than we do: one of them becomes the next donor, if it is much.
func (r *Replication) endLease() {
	r.lease = lease{}
	seen := r.ledger.Seen()
	for _, l := range r.links {
		if !r.lineage.Covers(seen, l.known) {
			l.want = true
		}
	}
}

// hearLease takes in from whom a member gets what it lacks.
func (r *Replication) hearLease(l *link, told *wire.Lease) {
	switch was := l.lease; {
	case told == nil && was == nil:
		return
	case told == nil: // it has what it was sent: now all else, with our clock, but not again what no clock covers (rule L5)
		l.news = l.news || !r.lineage.Covers(l.known, r.ledger.Clock())
	case was != nil && was.Donor == told.Donor && was.Upto.Equal(told.Upto):
		return
	case told.Donor == r.cfg.Actor:
		l.news = true
	default:
		l.outgoing = outgoing{}
		l.taken = span{told.Upto, told.Upto}
	}
	l.lease = told
}

// mayTransfer reports whether a member may be sent more than a message holds: it has asked us, or is of protocol 1,
// which does not ask.
func (r *Replication) mayTransfer(name string) bool {
	l := r.links[name]
	return r.members.Speaks(name) < 2 || r.chosen(l)
}

// chosen reports whether a member has chosen us for its donor.
func (r *Replication) chosen(l *link) bool { return l.lease != nil && l.lease.Donor == r.cfg.Actor }
