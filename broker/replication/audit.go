package replication

import (
	"bytes"
	"slices"
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
	rounds   int          // that have ended, and left as much to be asked as before
	again    time.Time    // when what is to be asked makes a message, if nothing else does
	pushed   bool         // what the member lacks of us was sent, so that it can judge it
	done     bool         // a round has ended since the member's present actor was met, and it could judge all that is unfinished here
	told     clock.Tips   // the member's clock then
	ends     int          // of so many of proof.ends it has said what it knows
	asking   int          // it was asked of so many more, and has not answered yet
}

// due reports whether there is something to ask for which a message is worth its while: an answer that settled nothing is not
// asked for again at once, since only what others hear meanwhile can change it.
func (a *audit) due(now time.Time) bool { return a.suspects != nil && !now.Before(a.again) }

// ask gives the question for the next message, nil when there is none.
func (a *audit) ask() *wire.Audit {
	if a.suspects == nil {
		return nil
	}
	a.asked = true
	return &wire.Audit{Since: a.since, Records: a.suspects[:min(len(a.suspects), wire.MaxAudit)]}
}

// Ask asks every member, now and with each exchange, what it knows of unfinished records; none ends that.
func (r *Replication) Ask(refs []ledger.Ref) {
	r.disputed = refs
	for _, l := range r.links {
		l.inquire = len(refs) > 0
	}
}

// askEnds adds to the question for the next message what had ended here, and was not stable (rule F3).
func (r *Replication) askEnds(l *link, ask *wire.Audit) *wire.Audit {
	l.audit.asking = 0
	if r.proof.proven || !l.heard || l.audit.ends == len(r.proof.ends) {
		return ask
	}
	if ask == nil {
		ask = &wire.Audit{Since: l.known}
	}
	rest := r.proof.ends[l.audit.ends:]
	n := min(len(rest), wire.MaxAudit-len(ask.Records))
	ask.Records = append(slices.Clone(ask.Records), rest[:n]...)
	ask.Ended, ask.Disk, l.audit.asking = n, r.proof.disk, n
	return ask
}

// inquiry adds the disputed records to the question for the next message. Of more than fit the next ones are behind these, so
// that none has to wait for those before it: they may wait for a member that is away.
func (r *Replication) inquiry(l *link, ask *wire.Audit) *wire.Audit {
	if !l.inquire || !l.heard {
		return ask
	}
	l.inquire = false
	if ask == nil {
		ask = &wire.Audit{Since: l.known}
	}
	ask.Records = slices.Clone(ask.Records)
	for range min(len(r.disputed), wire.MaxAudit-len(ask.Records)) {
		l.inquired %= len(r.disputed)
		ask.Records = append(ask.Records, r.disputed[l.inquired])
		l.inquired++
	}
	return ask
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
// digest that leads to one. The reply to a page answers no question.
func (r *Replication) Audited(reply *wire.Reply, page bool) {
	l := r.links[reply.From]
	a, before := &l.audit, l.audit
	if read := before.asking - reply.Unread; !page && before.asking > 0 && reply.Unread >= 0 && read > 0 { // else it is asked again with the next exchange
		before.ends, before.asking = before.ends+read, 0
	}
	if a.asked && !page {
		*a = audit{done: true, rounds: a.rounds + 1}
	}
	a.done = a.done || reply.LiveSame
	if len(reply.Live) == ledger.DigestSize {
		ours := r.ledger.LiveDigest(reply.Clock)
		if bytes.Equal(ours, reply.Live) {
			a.done = true
		} else if a.suspects = r.ledger.LiveWhere(reply.Clock, ours, reply.Live); len(a.suspects) == 0 {
			a.suspects, a.done = nil, true // what differs is there, not here
		} else {
			a.since, a.again = reply.Clock, r.now
			if a.rounds > 0 {
				a.again = r.now.Add(min(backoffMin<<min(a.rounds-1, 10), backoffMax))
			}
		}
	}
	a.pushed, a.told, a.ends, a.asking = before.pushed, before.told, before.ends, before.asking
	switch {
	case before.done: // the first counts: while a member writes, the latest clock that it has told is ahead of ours
		a.done, a.rounds = true, 0
	case !r.lineage.Covers(l.base, r.proof.target) || !r.ledger.Judged(reply.Clock, l.strays): // not all that is unfinished here was compared
		a.done = false
		if !a.pushed {
			a.pushed, l.news = true, true
		}
	case a.done:
		a.told, a.rounds = reply.Clock, 0
	}
}
