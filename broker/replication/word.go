package replication

import "github.com/urban-compute/ucp/broker/wire"

// Word is what this broker's start says of its clocks, whole, for whoever is told of it later and by another way than a link
// (rule B3).
func (r *Replication) Word() *wire.Word {
	t := &r.telling
	t.update(told{r.ledger.Clock(), r.ledger.StableClock()})
	return &wire.Word{
		From: r.self, Actor: r.cfg.Actor, Clock: t.clock,
		Told: &wire.Told{Version: t.version, Digest: t.digest, Began: t.began, Stable: t.stable},
	}
}

// HearWord takes in what a member has said at some time, and somebody has carried here. It counts as what a message says, but for
// all that depends on when it was sent: it does not show that the member is there (rule P1), nor what time it is there (rule T2).
// It reports whether it is news: a later word of that start, or of a later start, may have come before.
func (r *Replication) HearWord(s Said) bool {
	if !r.members.Roll().Has(s.From) || s.Told.late {
		return false
	}
	l := r.links[s.From]
	if l == nil {
		l = &link{exchange: r.now}
		r.links[s.From] = l
	}
	switch {
	case l.actor != "" && s.Actor.Before(l.actor):
		return false
	case l.actor != s.Actor:
		*l = link{plain: l.plain, pages: l.pages, exchange: l.exchange, lastSeen: l.lastSeen}
		l.actor = s.Actor
	case l.heard && l.told.version == s.Told.version:
		return false
	}
	r.note(l, s)
	return true
}

// Late reports whether others that its sender has sent later have come before.
func (u Understood) Late() bool { return u.late }
