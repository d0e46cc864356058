package broker

import (
	"bytes"
	"time"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// audit is how far the comparison of our unfinished records with a peer's is (rule
// L9). A replica that was rolled back, or reaped, may keep an unfinished record that
// all others have finished and forgotten, in no delta.
type audit struct {
	suspects []ledger.Ref // unfinished here, and perhaps forgotten there: to be asked
	since    clock.Vector // the peer's clock when it told its digest
	asked    bool         // they are under way
	pushed   bool         // what the peer lacks of us was sent, so that it can judge it
	done     bool         // one round has ended since the peer's present actor was met
}

// ask gives the question for the next message, nil when there is none.
func (a *audit) ask() *wire.Audit {
	if a.suspects == nil {
		return nil
	}
	a.asked = true
	return &wire.Audit{Since: a.since, Records: a.suspects[:min(len(a.suspects), wire.MaxAudit)]}
}

// auditFor answers a peer's question.
func (b *Broker) auditFor(a *wire.Audit) (forgotten []ledger.Ref) {
	if a == nil {
		return nil
	}
	for _, ref := range a.Records {
		if b.ledger.Forgotten(ref, a.Since) {
			forgotten = append(forgotten, ref)
		}
	}
	return forgotten
}

// audited takes in the part of a reply that concerns the audit: the answer to a
// question, or a digest that leads to one.
func (b *Broker) audited(l *link, r wire.Reply) {
	a := &l.audit
	if a.asked {
		*a = audit{done: true, pushed: a.pushed}
	}
	if len(r.Live) == ledger.DigestSize {
		ours := b.ledger.LiveDigest(r.Clock)
		if bytes.Equal(ours, r.Live) {
			a.done = true
		} else if a.suspects = b.ledger.LiveWhere(r.Clock, ours, r.Live); len(a.suspects) == 0 {
			a.suspects, a.done = nil, true // what differs is there, not here
		} else {
			a.since = r.Clock
		}
	}
	if !b.unaudited.waiting {
		return
	}
	known := l.base.Covers(b.unaudited.target)
	if a.done && known {
		b.trust()
	} else if !known && !a.pushed {
		a.pushed, l.news = true, true
	}
}

// unaudited holds back what a broker remembers from before its start, or from
// before it was alone, until a live member has audited it: it runs, places and takes
// over nothing old until then (rule L9). Alone and offline it goes on.
type unaudited struct {
	waiting bool
	target  clock.Vector // what the auditor must have seen of us
	before  clock.Hybrid // jobs created up to then are old
	alone   time.Time    // when it goes on if nobody is there
	until   time.Time    // and when in any case: somebody is there, and does not answer
}

// aloneAfter is how long a starting broker waits for others to show up.
const aloneAfter = 5 * time.Second

// distrust holds back what is known now.
func (b *Broker) distrust() {
	b.unaudited = unaudited{
		waiting: true, target: b.ledger.Seen(), before: b.stamp(),
		alone: b.now.Add(aloneAfter), until: b.now.Add(max(b.cfg.SyncInterval, aloneAfter)),
	}
	for _, l := range b.links {
		l.audit, l.want = audit{}, true
	}
}

// trust lets all go on.
func (b *Broker) trust() {
	b.unaudited = unaudited{}
	b.reviewWhere(nil)
}

// old reports whether a job must wait for the audit.
func (b *Broker) old(r *job.Record) bool {
	return b.unaudited.waiting && r.Submitted() <= b.unaudited.before
}

func (b *Broker) checkUnaudited() {
	u := &b.unaudited
	if u.waiting && (!b.now.Before(u.until) || !b.now.Before(u.alone) && b.members.Living() == 1) {
		b.trust()
	}
}

func (b *Broker) unauditedDue() time.Time {
	u := &b.unaudited
	switch {
	case !u.waiting:
		return time.Time{}
	case b.members.Living() == 1 && u.alone.Before(u.until):
		return u.alone
	}
	return u.until
}
