package replication

import (
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// Receive hands the records of a message to merge, which joins them into the ledger, and reports
// whether its sender may go on; false asks it to start again from our clock (rules L4, L5).
// Forgotten are records of the message that this broker has known and forgotten.
func (r *Replication) Receive(m *wire.Message, merge func(ledger.Delta) ledger.Merged) (ok bool, forgotten []ledger.Ref) {
	d := m.Delta.ToLedger(m.Actor)
	if m.Page == nil {
		got := merge(d)
		return got.Adopted || got.Refused || len(d.Clock) == 0, got.Forgotten
	}
	l := r.links[m.From]
	if l == nil {
		return false, nil
	}
	if m.Page.Number == 0 {
		l.incoming = &incoming{id: m.Page.Transfer}
	}
	in := l.incoming
	if in == nil || in.id != m.Page.Transfer || m.Page.Number > in.next {
		return false, nil // its beginning came before our start, or is lost
	}
	// A page that is sent again, since our answer was lost, may hold more than it did:
	// its records are as they are now, and may have become smaller.
	in.next = m.Page.Number + 1
	if in.bad {
		d.Clock = nil
	}
	got := merge(d)
	in.bad = in.bad || got.Refused || got.Voided()
	if m.Page.Last {
		l.incoming = nil
		return got.Adopted || in.bad, got.Forgotten
	}
	return true, got.Forgotten
}

// Reply makes the reply to a message whose records were received; restart asks the sender to
// start again. An error is the ledger's.
func (r *Replication) Reply(m *wire.Message, head Head, restart bool, forgotten []ledger.Ref) (*wire.Reply, error) {
	reply := &wire.Reply{
		Version: m.Version, From: r.self, Actor: r.cfg.Actor, Hybrid: head.Hybrid,
		Clock: r.ledger.Clock(), Seen: r.seen(), Restart: restart, Metadata: head.Metadata, Beat: r.beat(),
		Forgotten: append(forgotten, r.auditFor(m.Audit)...),
	}
	if m.Live {
		reply.Live = r.ledger.LiveDigest(m.Clock)
	}
	l := r.links[m.From]
	if m.Want {
		if err := r.offer(l, m, reply); err != nil {
			return nil, err
		}
	}
	if l != nil && l.incoming == nil && m.Delta == nil && !r.ledger.Seen().Covers(m.Clock) {
		l.want = true
	}
	return reply, nil
}

// Unheard is the reply to a message that is not heard (rule I2): nobody waits for it.
func (r *Replication) Unheard(m *wire.Message, at clock.Hybrid) *wire.Reply {
	return &wire.Reply{Version: m.Version, From: r.self, Actor: r.cfg.Actor, Hybrid: at, Clock: r.ledger.Clock(), Restart: true}
}

// offer puts what the asker lacks into the reply. What does not fit goes as a transfer on our
// own link.
func (r *Replication) offer(l *link, m *wire.Message, reply *wire.Reply) error {
	since := wire.Base(m.Clock, m.Seen)
	d, fits, err := r.ledger.Delta(since, wire.MaxPage)
	switch {
	case err != nil:
		return err
	case !fits && l != nil:
		l.news = true
	case fits && (len(d.Entries) > 0 || !since.Covers(d.Clock)):
		reply.Delta = wire.FromLedger(d)
	}
	return nil
}
