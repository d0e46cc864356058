package replication

import (
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// Bounds of the backoff of a link (rule S5).
const (
	backoffMin = 500 * time.Millisecond
	backoffMax = 30 * time.Second
)

// A member that was not heard of for a while has heard most news from others: before it is told
// of more than a few, its clock is asked for.
const (
	stale = time.Second
	few   = 8
)

// Send is one message to one member.
type Send struct {
	To      string
	Actor   clock.Actor // of the member, when it last spoke; "" when it is not known yet (rule X3)
	Addr    string      // the member's HTTP address, host:port
	Message wire.Message
}

// Pump makes a message for every link that has something to say and none under way, and a page for every
// transfer that has none under way. Each ends in Acked or Unreachable. An error is the ledger's.
func (r *Replication) Pump(head func() Head) (out []Send, err error) {
	r.reviewLease()
	for _, name := range r.members.Names() {
		l, m := r.links[name], r.members.Get(name)
		if m.HTTPAddr == "" || m.Status == membership.Left || r.now.Before(l.notBefore) {
			continue
		}
		send := func(by *lane, msg wire.Message) {
			*by = lane{inflight: true, asked: r.now}
			out = append(out, Send{To: name, Actor: l.actor, Addr: m.HTTPAddr, Message: msg})
		}
		if due := !r.now.Before(l.exchange); !l.plain.inflight && (due || !r.silent(name) && (l.news || r.rumourDue(l) || l.want || r.asks(l))) {
			msg, ok, err := r.message(name, head(), due)
			if err != nil {
				return out, err
			}
			if ok {
				send(&l.plain, msg)
			}
		}
		if !l.pages.inflight && l.outgoing.transfer != nil {
			msg, err := r.page(name, head())
			if err != nil {
				return out, err
			}
			send(&l.pages, msg)
		}
	}
	return out, nil
}

// silent reports whether a member is told nothing but clocks until it is in the roll (rule M1).
func (r *Replication) silent(name string) bool {
	return r.links[name].heard && r.members.Unenrolled(name)
}

// asks reports whether there is something to ask a member of its records.
func (r *Replication) asks(l *link) bool {
	a := &l.audit
	return a.due(r.now) || l.inquire || !r.proof.proven && l.heard && a.asking == 0 && a.ends < len(r.proof.ends)
}

// rumourDue reports whether a link has rumours that need not wait any longer.
func (r *Replication) rumourDue(l *link) bool { return l.rumour && !r.now.Before(l.rumourAt) }

// say begins a message to a member.
func (r *Replication) say(name string, head Head) wire.Message {
	l := r.links[name]
	version := r.members.Speaks(name)
	c, told := r.tell(l, version)
	return wire.Message{
		Version: version, From: r.self, Actor: r.cfg.Actor, Hybrid: head.Hybrid,
		Clock: c, Seen: r.seen(), Metadata: head.Metadata,
		To: l.actor, Heard: l.beat, Beat: r.beat(), Told: told, ToldHeard: l.told.version, Lease: r.leased(),
	}
}

// message makes the next message of a link; ok is false when there is nothing that the member
// does not know.
func (r *Replication) message(name string, head Head, due bool) (msg wire.Message, ok bool, err error) {
	l := r.links[name]
	msg = r.say(name, head)
	msg.Want = due || l.want || !l.heard
	msg.Live, msg.Audit = due || !(r.proof.proven && r.proof.goesOn) && !l.audit.done, l.audit.ask()
	if msg.Live && msg.Told != nil && l.told.version > 0 {
		msg.LiveSum = ledger.SumOf(r.ledger.LiveDigest(l.told.clock))
	}
	l.sent, l.much, l.toldStrays = span{}, false, 0
	if due {
		l.exchange = r.now.Add(r.interval())
		// What could not be read may have been damaged on its way: once an interval
		// it travels again.
		l.base, msg.Seen = l.known, nil
		l.inquire = len(r.disputed) > 0
	}
	msg.Audit = r.askEnds(l, r.inquiry(l, msg.Audit))
	l.want = false
	if !l.heard || r.silent(name) {
		return msg, true, nil // first learn what the member holds, and that it is one; the news stays marked
	}
	l.news, l.rumour, l.rumourAt = false, false, r.now.Add(r.cfg.RumourPause)
	stable := l.stableNews && msg.Told != nil && len(msg.Told.Stable) > 0
	l.stableNews = false
	silent := !msg.Want && msg.Audit == nil && !stable
	if l.outgoing.transfer != nil {
		return r.ahead(l, msg, silent)
	}
	since := l.base
	if r.chosen(l) {
		since = l.known // all that its clock does not cover
	}
	d, fits, err := r.ledger.DeltaBut(since, l.strays, r.cfg.PageSize)
	l.looked(fits)
	switch {
	case err != nil:
		return msg, false, err
	case fits && len(d.Entries) == 0:
		l.strays = r.ledger.Strays()
		return msg, !silent, nil
	case fits && len(d.Entries) > few && r.now.Sub(l.lastSeen) > stale:
		l.news = true // after the member has told its clock
		return msg, true, nil
	case fits:
		msg.Delta, l.sent, l.toldStrays = l.delta(d), span{d.Since, msg.Clock}, r.ledger.Strays()
		return msg, true, nil
	case r.mayTransfer(name):
		l.outgoing = outgoing{transfer: r.ledger.Pin(since), id: r.random.Next(), strays: r.ledger.Strays()}
		l.taken = span{msg.Clock, msg.Clock}
		return msg, !silent, nil
	case l.lease == nil: // it chooses a donor
		msg.Much, l.much = true, true
		return msg, true, nil
	}
	return r.ahead(l, msg, silent)
}

// ahead puts what is newer than the transfer to a member, ours or another donor's, into a message (rules R1, R2).
// The clock that goes with it is that of the transfer's last page.
func (r *Replication) ahead(l *link, msg wire.Message, silent bool) (_ wire.Message, ok bool, err error) {
	d, fits, err := r.ledger.DeltaBut(l.newest(r.lineage), l.strays, r.cfg.PageSize)
	if fits && len(d.Entries) > 0 { // otherwise it waits for the last page
		d.Clock = nil
		msg.Delta, l.sent = l.delta(d), span{l.taken.since, msg.Clock}
	}
	return msg, err == nil && (!silent || msg.Delta != nil), err
}

// page makes the message with the present page of the transfer to a member. With the last one goes the clock of
// its start, and of what the member has taken ahead of it since then.
func (r *Replication) page(name string, head Head) (wire.Message, error) {
	l, msg := r.links[name], r.say(name, head)
	o := &l.outgoing
	d, last, err := o.transfer.Page(r.ledger, r.cfg.PageSize)
	if err != nil {
		return msg, err
	}
	if last {
		d.Clock = l.taken.upto
	}
	o.last, o.pinned = last, d.Clock
	msg.Delta = l.delta(d)
	msg.Page = &wire.Page{Transfer: o.id, Number: o.page, Last: last}
	return msg, nil
}

// interval is the time to the next exchange: the sync interval, stretched under pressure, and up
// to a tenth less, so that brokers spread out (rules S2, S5).
func (r *Replication) interval() time.Duration {
	return time.Duration(float64(r.cfg.SyncInterval) * r.stretch * (0.9 + 0.1*r.random.Fraction()))
}

// Answered notes that a member has replied, to a page of a transfer or another message: its lane is free for
// the next one.
func (r *Replication) Answered(name string, page bool) {
	if l := r.links[name]; l != nil {
		l.lane(page).inflight, l.failures, l.notBefore = false, 0, time.Time{}
	}
}

// Progress moves the transfer to a member on by its reply to a page, or to another message. It was heard before.
func (r *Replication) Progress(reply *wire.Reply, page bool) {
	l := r.links[reply.From]
	o := &l.outgoing
	if reply.Much && r.lease.donor == reply.Actor {
		l.want = true // it is chosen, and waits to be asked
	}
	if l.much && !page {
		l.much, l.news = false, true // now with what the member has said of its donor
		if l.lease == nil {
			l.notBefore = r.now.Add(backoffMin)
		}
	}
	if reply.Restart { // from the clock that the member has just told (rule L4)
		l.news = true
		l.notBefore = r.now.Add(backoffMin / 2)                   // the member may not know us yet
		l.want = l.want || reply.Version > 1 && reply.Told == nil // or has not understood anything
	}
	if !page && !reply.Restart && (len(reply.Seen) == 0 || reply.Taken) { // what it can't read of these it has not taken
		l.strays = max(l.strays, l.toldStrays)
	}
	switch {
	case !page || o.transfer == nil:
	case reply.Restart:
		o.transfer = nil
	case o.last:
		if len(reply.Seen) == 0 || reply.Taken {
			l.strays = max(l.strays, o.strays)
		}
		// What changed since the transfer's start was not on its list. If the member did not adopt its clock
		// (rule L10), or no clock covers what is on it, all would go again and again: that waits for news.
		o.transfer, l.news = nil, l.news || r.cfg.NewsLinks && r.lineage.Covers(l.base, o.pinned) && !r.lineage.Covers(l.base, r.ledger.Clock())
	default:
		o.transfer.Advance()
		o.page++
	}
}

// Transferring says which page of a transfer a member gets next; ok is false without one.
func (r *Replication) Transferring(name string) (page int, ok bool) {
	l := r.links[name]
	if l == nil || l.outgoing.transfer == nil {
		return 0, false
	}
	return l.outgoing.page, true
}

// Unreachable backs off from a member that did not answer; others are not affected (rule S5).
// What it was to be told stays marked, and a transfer goes on with the same page.
func (r *Replication) Unreachable(name string, page bool) {
	l := r.links[name]
	if l == nil {
		return
	}
	l.lane(page).inflight = false
	if !page {
		l.want, l.news = true, l.news || r.cfg.NewsLinks
	}
	wait := min(backoffMin<<min(l.failures, 10), backoffMax)
	l.failures++
	l.notBefore = r.now.Add(wait/2 + time.Duration(r.random.Fraction()*float64(wait/2)))
}

// Due is when a link has something to say although nothing happens; zero is never.
func (r *Replication) Due() (due time.Time) {
	if r.lease.donor != "" {
		due = r.lease.until
	}
	for _, name := range r.members.Names() {
		l, m := r.links[name], r.members.Get(name)
		next := l.exchange
		switch pages := !l.pages.inflight && l.outgoing.transfer != nil; {
		case m.HTTPAddr == "" || m.Status == membership.Left || l.plain.inflight && !pages:
			continue
		case r.silent(name):
		case pages || l.news || l.want || r.asks(l):
			next = r.now
		default:
			if l.rumour && l.rumourAt.Before(next) {
				next = l.rumourAt
			}
			if l.audit.suspects != nil && l.audit.again.Before(next) {
				next = l.audit.again
			}
		}
		if next.Before(l.notBefore) {
			next = l.notBefore
		}
		if due.IsZero() || next.Before(due) {
			due = next
		}
	}
	return due
}
