package replication

import (
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// link is what this broker knows of one member's progress.
type link struct {
	heard bool        // known is what this actor of the member said itself
	actor clock.Actor // of the member, when it last spoke
	known clock.Tips  // what the member is known to hold
	base  clock.Tips  // the same with its quarantine: what it need not be sent (rule L10)
	beat  uint64      // the latest that this actor has said

	agreed  told // the latest that ours covers the clock of (rule F1)
	offered told // the next such, when ours does
	latest  told
	settled bool // latest is agreed

	told       Understood // the latest that it has said of its clocks, as it said it (rule K4)
	late       bool       // its latest message was overtaken by others
	knows      uint64     // the version of our clocks that it has heard
	stableNews bool       // our stable clock has reached what somebody waits for

	plain    lane
	pages    lane
	news     bool      // something here may be news there
	rumour   bool      // the same, but nobody waits for it: see Config.RumourPause
	rumourAt time.Time // the earliest for the next rumour
	want     bool      // the member holds what we lack: pull
	exchange time.Time // when the periodic exchange is due (rule S2)

	outgoing   outgoing
	incoming   *incoming
	sent       span        // the delta under way, or nothing
	strays     uint64      // of ours, which no clock covers, up to which version the member has taken them
	toldStrays uint64      // the same once the message under way is answered; 0 is nothing
	taken      span        // what the member has taken although its clock can't move yet (rule R2)
	behind     bool        // what it lacks did not fit into a message when it was last looked at
	follows    bool        // it did, at some time, or the member has taken what is newer meanwhile
	much       bool        // the message under way says that it lacks much
	lease      *wire.Lease // from whom the member gets what it lacks; nil from nobody in particular (rule R1)

	inquire  bool       // the member is to be asked of the disputed records (rule F3)
	inquired int        // which of them is next
	audit    audit      // of our unfinished records with this member (rule L9)
	unproven bool       // its present start is (rule M3)
	brought  clock.Tips // what that held before it said anything else

	failures  int
	notBefore time.Time // backoff after failures (rule S5)
	lastSeen  time.Time // when the member last spoke

	clocks  Reading // what time it is there, as of readAt (rule T2)
	readAt  time.Time
	stamped clock.Hybrid // its hybrid clock then
}

// lane is one of the two ways of messages to a member, each with one message under way at most (rule S1).
// The pages of a transfer have one of their own, so that news need not wait for them.
type lane struct {
	inflight bool
	asked    time.Time // when the latest was sent
}

func (l *link) lane(page bool) *lane {
	if page {
		return &l.pages
	}
	return &l.plain
}

// span is every update that upto covers and since does not.
type span struct{ since, upto clock.Tips }

func (s span) has(d clock.Dot, by *clock.Lineage) bool {
	return by.Has(s.upto, d) && !by.Has(s.since, d)
}

// outgoing is a delta that takes several messages: a transfer (rule L5). Without one, transfer
// is nil.
type outgoing struct {
	transfer *ledger.Transfer
	id       uint64
	page     int
	last     bool       // the page under way is the last
	strays   uint64     // that are among its records
	pinned   clock.Tips // the clock that goes with it
}

// incoming is a transfer that a member sends us.
type incoming struct {
	id     uint64
	next   int  // page
	bad    bool // a record of it was refused: its clock must not be adopted (rule L10)
	unread bool // not all of its records are held
}

// maxLag is how soon after its birth a link makes its first exchange, at most.
const maxLag = 2 * time.Second

// Meet makes the link to a member, or starts it again when the member has a new actor: what the
// old one held may be lost (rule I1). Was is the status that the member had before.
func (r *Replication) Meet(m membership.Member, was membership.Status) {
	l := r.links[m.Name]
	known := l != nil
	if !known {
		l = &link{exchange: r.now.Add(time.Duration(r.random.Fraction() * float64(maxLag))), want: !r.proof.proven}
		r.links[m.Name] = l
	}
	if l.heard && m.Actor.Before(l.actor) && !r.members.Superseded(l.actor) {
		m.Actor = l.actor // it has told us itself; SWIM does not know yet
	}
	if m.Actor != "" && l.actor != "" && l.actor != m.Actor {
		*l = link{plain: l.plain, pages: l.pages, exchange: r.now, lastSeen: l.lastSeen}
	}
	if m.Actor != "" {
		l.actor = m.Actor
	}
	if m.Status == membership.Alive && l.failures > 0 && l.lastSeen.IsZero() {
		l.notBefore = r.now
	}
	if m.Status == membership.Alive && known && was != membership.Alive { // it is back: exchange clocks at once (rule S6)
		l.exchange, l.notBefore, l.audit = r.now, r.now, audit{}
	}
}

// Drop forgets a member that is not in the roster any more, unless it is in the roll: what it holds still counts
// (rule M1).
func (r *Replication) Drop(name string) {
	if !r.members.Roll().Has(name) {
		delete(r.links, name)
	}
}

// Said is what a member tells of itself with every message and reply.
type Said struct {
	From        string
	Actor       clock.Actor
	Hybrid      clock.Hybrid
	Clock, Seen clock.Tips // as in wire.Message
	Beat        uint64
	Much        bool // as in wire.Message
	Lease       *wire.Lease
	Taken       bool // all that the latest delta to it has brought is held, also beyond its clock (rule R2)
	Told        Understood
	Disbelieved bool      // what it says of its stable clock can't be true
	ToldHeard   uint64    // as in wire.Message
	Clocks      Reading   // what time it was there when it said so (rule T2)
	Asked       time.Time // when it was told at the earliest what this answers; zero is not known
	Unproven    bool      // its start is not proven yet (rule M3)
}

// Superseded reports whether a later start of the same member has spoken itself (rule F1): what comes of this one is late,
// and SWIM may not know yet. If it is still the one that SWIM has, and the later one falls silent, it is heard again: a
// start that was only invented mutes nobody for good.
func (r *Replication) Superseded(a clock.Actor) bool {
	l := r.links[a.Broker()]
	if l == nil || !l.heard || !a.Before(l.actor) {
		return false
	}
	swims := r.members.Alive(a.Broker()) && r.members.Get(a.Broker()).Actor == a
	return !swims || r.now.Sub(l.lastSeen) <= silentFor*r.cfg.SyncInterval
}

// silentFor is how many sync intervals a start has to be silent until an earlier one is heard again: it asks in each of
// them, at least in every other one when it is busy (rules S2, S5).
const silentFor = 3

// Hear takes in what a member says of itself. It reports whether it is a member.
func (r *Replication) Hear(s Said) bool {
	l := r.links[s.From]
	if l == nil {
		return false // not a member, or not yet
	}
	if l.actor != s.Actor {
		*l = link{plain: l.plain, pages: l.pages, exchange: l.exchange}
		l.actor = s.Actor
	}
	if l.heard && l.unproven && !s.Unproven && !r.proof.proven {
		l.audit, l.want = audit{}, true // it may be our witness now
	}
	r.note(l, s)
	l.lastSeen, l.beat = r.now, max(l.beat, s.Beat)
	if s.Taken && l.sent.upto != nil {
		l.taken, l.follows = l.sent, true
	}
	l.knows = s.ToldHeard
	if r.members.Leaves(s.From) {
		r.followLeaver(s.From, l)
	}
	r.hearLease(l, s.Lease)
	if s.Much {
		r.offered(s)
	}
	l.read(s.Clocks, s.Asked, r.now)
	l.stamped = s.Hybrid
	return true
}

// note takes in what a member's start has said of its clocks, by whatever way that has come.
func (r *Replication) note(l *link, s Said) {
	if !l.heard {
		l.brought = s.Clock
	}
	r.part.changed = r.part.changed || !s.Unproven && (l.unproven || !l.heard)
	l.unproven = s.Unproven
	l.heard, l.known, l.base, l.late = true, s.Clock, wire.Base(s.Clock, s.Seen), s.Told.late
	switch {
	case s.Told.late:
	case !s.Disbelieved:
		l.told = s.Told
		l.latest, l.settled = told{clock: s.Clock}, false
		if !s.Unproven { // until then it does not seal by what is stable there (rules F2, F3)
			l.latest.stable = s.Told.stable
		}
	case l.told.version == 0: // it says so again
		l.latest, l.settled = told{clock: s.Clock}, false
	}
}

// holds reports whether the member is known to hold a record with these dots: it has said so, or wrote it itself.
func (l *link) holds(dots clock.Vector, by *clock.Lineage) bool {
	for _, d := range dots {
		if d.Actor != l.actor && !by.Has(l.known, d) && !l.taken.has(d, by) {
			return false
		}
	}
	return true
}

// hasten lets the next exchange with the member be due soon: not later than half a second after it was last told something.
func (l *link) hasten() {
	if at := l.plain.asked.Add(backoffMin); at.Before(l.exchange) {
		l.exchange = at
	}
}

// looked notes whether what the member lacks fits into a message.
func (l *link) looked(fits bool) { l.behind, l.follows = !fits, fits || l.follows }

// newest is the clock from which the member is sent what is newer than a transfer to it.
func (l *link) newest(by *clock.Lineage) clock.Tips { return by.Merge(l.taken.upto, l.known) }

// GoOnAs says that this broker has begun another start in the same process (rule K3): as at any start nothing counts of
// what members have told before (rule F1), and all are to hear of it at once.
func (r *Replication) GoOnAs(a clock.Actor) {
	r.cfg.Actor = a
	for _, l := range r.links {
		*l = link{actor: l.actor, beat: l.beat, exchange: r.now, failures: l.failures, notBefore: l.notBefore, lastSeen: l.lastSeen}
	}
	r.lease, r.spurned = lease{}, ""
	r.stability, r.telling = stability{awaited: r.stability.awaited}, newTelling()
	r.Recount()
}
