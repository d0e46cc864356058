package replication

import (
	"bytes"
	"time"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// audit is how far the comparison of our unfinished records with a member's is (rule L9). A
// replica that was rolled back, or reaped, may keep an unfinished record that all others have
// finished and forgotten, in no delta.
type audit struct {
	suspects []ledger.Ref // unfinished here, and perhaps forgotten there: to be asked
	since    clock.Tips   // the member's clock when it told its digest
	asked    bool         // they are under way
	pushed   bool         // what the member lacks of us was sent, so that it can judge it
	done     bool         // one round has ended since the member's present actor was met
}

// ask gives the question for the next message, nil when there is none.
func (a *audit) ask() *wire.Audit {
	if a.suspects == nil {
		return nil
	}
	a.asked = true
	return &wire.Audit{Since: a.since, Records: a.suspects[:min(len(a.suspects), wire.MaxAudit)]}
}

// auditFor answers a member's question.
func (r *Replication) auditFor(a *wire.Audit) (forgotten []ledger.Ref) {
	if a == nil {
		return nil
	}
	for _, ref := range a.Records {
		if r.ledger.Forgotten(ref, a.Since) {
			forgotten = append(forgotten, ref)
		}
	}
	return forgotten
}

// Audited takes in the part of a reply that concerns the audit: the answer to a question, or a
// digest that leads to one. It reports whether what waited for an audit may go on now.
func (r *Replication) Audited(reply *wire.Reply) (trusted bool) {
	l := r.links[reply.From]
	a := &l.audit
	if a.asked {
		*a = audit{done: true, pushed: a.pushed}
	}
	if len(reply.Live) == ledger.DigestSize {
		ours := r.ledger.LiveDigest(reply.Clock)
		if bytes.Equal(ours, reply.Live) {
			a.done = true
		} else if a.suspects = r.ledger.LiveWhere(reply.Clock, ours, reply.Live); len(a.suspects) == 0 {
			a.suspects, a.done = nil, true // what differs is there, not here
		} else {
			a.since = reply.Clock
		}
	}
	if !r.unaudit.waiting {
		return false
	}
	known := r.lineage.Covers(l.base, r.unaudit.target)
	if a.done && known {
		r.unaudit = unaudited{}
		return true
	}
	if !known && !a.pushed {
		a.pushed, l.news = true, true
	}
	return false
}

// unaudited holds back what a broker remembers from before its start, or from before it was
// alone, until a live member has audited it: it runs, places and takes over nothing old until
// then (rule L9). Alone and offline it goes on.
type unaudited struct {
	waiting bool
	target  clock.Tips   // what the auditor must have seen of us
	before  clock.Hybrid // jobs created up to then are old
	alone   time.Time    // when it goes on if nobody is there
	until   time.Time    // and when in any case: somebody is there, and does not answer
}

// aloneAfter is how long a starting broker waits for others to show up.
const aloneAfter = 5 * time.Second

// HoldBack says that this broker remembers unfinished records from before its start: they wait
// for an audit, which [Replication.Distrust] begins at the first Tick.
func (r *Replication) HoldBack() { r.unaudit.waiting = true }

// Unaudited reports whether something waits for an audit.
func (r *Replication) Unaudited() bool { return r.unaudit.waiting }

// Distrust holds back what is known now, all that was created up to the stamp.
func (r *Replication) Distrust(before clock.Hybrid) {
	r.unaudit = unaudited{
		waiting: true, target: r.ledger.Seen(), before: before,
		alone: r.now.Add(aloneAfter), until: r.now.Add(max(r.cfg.SyncInterval, aloneAfter)),
	}
	for _, l := range r.links {
		l.audit, l.want = audit{}, true
	}
}

// Suspect reports whether a record that was created then must wait for the audit.
func (r *Replication) Suspect(created clock.Hybrid) bool {
	return r.unaudit.waiting && created <= r.unaudit.before
}

// GiveUpAudit reports whether what waited for an audit goes on without, since nobody is there,
// or nobody answers.
func (r *Replication) GiveUpAudit() bool {
	u := &r.unaudit
	if u.waiting && (!r.now.Before(u.until) || !r.now.Before(u.alone) && r.members.Living() == 1) {
		*u = unaudited{}
		return true
	}
	return false
}

// AuditDue is when GiveUpAudit will say so; zero is never.
func (r *Replication) AuditDue() time.Time {
	u := &r.unaudit
	switch {
	case !u.waiting:
		return time.Time{}
	case r.members.Living() == 1 && u.alone.Before(u.until):
		return u.alone
	}
	return u.until
}
