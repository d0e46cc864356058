package replication

import (
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// Received is what became of the records of a message.
type Received struct {
	Restart   bool         // its sender is to start again from our clock (rules L4, L5)
	Taken     bool         // all of them are held, although our clock does not cover them (rule R2), or may not cover them for long (rule L10)
	Forgotten []ledger.Ref // records of it that this broker has known and forgotten
}

// Receive hands the records of a message to merge, which joins them into the ledger.
func (r *Replication) Receive(m *wire.Message, merge func(ledger.Delta) ledger.Merged) Received {
	d := m.Delta.ToLedger(m.Actor)
	if m.Page == nil {
		got := merge(d)
		if got.Adopted && m.Actor == r.lease.donor {
			r.endLease() // all of it fits into a message by now
		}
		whole := !got.Refused && !got.Voided() && m.Delta.Bad() == 0 && len(got.TooLarge) == 0 && len(got.Forgotten) == 0
		if l := r.links[m.From]; l != nil && l.late && len(d.Clock) == 0 {
			whole = false // of which clock it is a part, nobody knows any more
		}
		if whole && len(d.Clock) == 0 {
			r.ledger.Ahead(d.Since, m.Clock)
		}
		return Received{
			Restart:   !got.Adopted && !got.Refused && len(d.Clock) > 0,
			Taken:     whole && (!r.ledger.Covers(m.Clock) || r.ledger.Quarantined() > 0),
			Forgotten: got.Forgotten,
		}
	}
	return r.receivePage(m, d, merge)
}

// receivePage takes in a page of a transfer (rule L5).
func (r *Replication) receivePage(m *wire.Message, d ledger.Delta, merge func(ledger.Delta) ledger.Merged) Received {
	l := r.links[m.From]
	if l == nil {
		return Received{Restart: true}
	}
	if m.Page.Number == 0 {
		l.incoming = &incoming{id: m.Page.Transfer}
	}
	in := l.incoming
	if in == nil || in.id != m.Page.Transfer || m.Page.Number > in.next {
		return Received{Restart: true} // its beginning came before our start, or is lost
	}
	// A page that is sent again, since our answer was lost, may hold more than it did:
	// its records are as they are now, and may have become smaller.
	in.next = m.Page.Number + 1
	if in.bad {
		d.Clock = nil
	}
	got := merge(d)
	r.progressed(m)
	in.bad = in.bad || got.Refused || got.Voided()
	in.unread = in.unread || in.bad || m.Delta.Bad() > 0 || len(got.TooLarge) > 0 || len(got.Forgotten) > 0
	if m.Page.Last {
		l.incoming = nil
		return Received{Restart: !got.Adopted && !in.bad && len(m.Delta.Clock) > 0, Taken: !in.unread && r.ledger.Quarantined() > 0, Forgotten: got.Forgotten}
	}
	return Received{Forgotten: got.Forgotten}
}

// Reply makes the reply to a message whose records were received. An error is the ledger's.
func (r *Replication) Reply(m *wire.Message, head Head, got Received) (*wire.Reply, error) {
	reply := &wire.Reply{
		Version: m.Version, From: r.self, Actor: r.cfg.Actor, Hybrid: head.Hybrid,
		Seen: r.seen(), Restart: got.Restart, Taken: got.Taken, Lease: r.leased(), Metadata: head.Metadata, Beat: r.beat(),
		Forgotten: append(got.Forgotten, r.auditFor(m.Audit)...),
	}
	l := r.links[m.From]
	if reply.Clock, reply.Told = r.tell(l, m.Version); reply.Told != nil {
		reply.ToldHeard = l.told.version
	}
	if m.Live {
		reply.Live = r.ledger.LiveDigest(m.Clock, r.disputed...) // who holds one of these, too, is to hear of the doubt
		// The sender must know our present clock: it may have expected less of an earlier one, and take it for all.
		if reply.Told != nil && m.ToldHeard == reply.Told.Version && m.LiveSum == ledger.SumOf(reply.Live) {
			reply.Live, reply.LiveSame = nil, true
		}
	}
	if m.Want {
		if err := r.offer(l, m, reply); err != nil {
			return nil, err
		}
	}
	if l != nil && r.lease.donor == "" && l.incoming == nil && m.Delta == nil && !r.lineage.Covers(r.ledger.Seen(), m.Clock) {
		l.want = true
	}
	return reply, nil
}

// Unheard is the reply to a message that is not heard: nobody waits for it (rule I2), or it was not understood (rule K4).
func (r *Replication) Unheard(m *wire.Message, at clock.Hybrid) *wire.Reply {
	return &wire.Reply{Version: m.Version, From: r.self, Actor: r.cfg.Actor, Hybrid: at, Clock: r.ledger.Clock(), Restart: true}
}

// offer puts what the asker lacks into the reply. What does not fit goes as a transfer on our own link, if we are
// its donor (rule R1).
func (r *Replication) offer(l *link, m *wire.Message, reply *wire.Reply) error {
	if r.members.Unenrolled(m.From) {
		r.TellNow(m.From) // when it is in the roll
		return nil
	}
	since := wire.Base(m.Clock, m.Seen)
	strays := uint64(0)
	if l != nil {
		strays = l.strays
	}
	d, fits, err := r.ledger.DeltaBut(since, strays, r.cfg.PageSize)
	if err != nil || l == nil && !fits {
		return err
	}
	if l != nil {
		l.looked(fits)
	}
	switch {
	case fits && (len(d.Entries) > 0 || !r.lineage.Covers(since, d.Clock)):
		reply.Delta = l.delta(d)
	case fits:
	case r.mayTransfer(m.From):
		l.news = true
	case l.lease == nil:
		reply.Much = true
	default: // what is newer than its lease we send on our own link
		l.news = true
	}
	return nil
}
