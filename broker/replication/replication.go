// Package replication keeps the ledgers of the members in step: for each member it knows how far
// that one is, and says what to send it, as etcd's tracker does for followers. At most one
// message to a member is under way, and one page of a transfer beside it; the next takes all that came in meanwhile
// (rule S1).
//
// Its parts:
//
//   - replication.go: the type, and what all members are known to hold
//   - link.go: what is known of one member's progress
//   - news.go: whom a changed record is told, and how soon (rule S1)
//   - send.go: messages, transfers, replies to them, backoff (rules S2, S5, L5)
//   - donor.go: from whom a member gets what does not fit into a message (rule R1)
//   - receive.go: messages of others, and the replies to those (rules L4, L5)
//   - told.go: how clocks are told (rule K4)
//   - stable.go: what every member is known to hold (rules F1 to F3)
//   - audit.go: comparing unfinished records (rule L9)
//   - proof.go: whether this start knows what the others know (rule M3)
//
// The package is pure: it is told the time and given its randomness. One goroutine owns a
// [Replication]. The rules are numbered in docs/protocol.md.
package replication

import (
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// Config is what a replication is told once.
type Config struct {
	Actor        clock.Actor   // of this broker's present start
	Seed         uint64        // chooses the member of each second that gets rumours
	Copies       int           // brokers that are to hold a record (rule A1), and to tell of an end as stable (rule F2)
	SyncInterval time.Duration // of the exchange with every member (rule S2)
	NewsLinks    bool          // rule S1; false only in tests: then the exchange alone brings news
	RumourPause  time.Duration // rule S1: between two messages to a member that nobody waits for; what comes in meanwhile goes together
	PageSize     int           // bytes of records in a message or page, at most wire.MaxPage; 0 is that
}

// Replication is how far every member is with this broker's ledger. Make one with [New].
type Replication struct {
	cfg     Config
	self    string
	ledger  *ledger.Ledger
	lineage *clock.Lineage // of the ledger
	members *membership.Membership
	random  *prng.Source
	born    time.Time // the first Tick
	now     time.Time // never goes back

	links    map[string]*link // to every member, by name
	stretch  float64          // of the sync interval (rule S5)
	proof    proof            // whether this start is proven (rule M3)
	part     part             // who took part when this disk was last proven (rule M3)
	disputed []ledger.Ref     // what every member is asked of (rule F3)
	lease    lease            // from whom this broker gets what it lacks much of (rule R1)
	spurned  clock.Actor      // the last donor that sent nothing

	telling   telling   // our clocks, as members are told of them (rule K4)
	stability stability // what every member is known to hold (rule F1)
}

// New makes a replication of a ledger among members. The ledger, the members and the randomness
// are their owner's; this package never changes the first two.
func New(cfg Config, l *ledger.Ledger, members *membership.Membership, random *prng.Source) *Replication {
	if cfg.PageSize == 0 {
		cfg.PageSize = wire.MaxPage
	}
	return &Replication{
		cfg: cfg, self: cfg.Actor.Broker(), ledger: l, lineage: l.Lineage(), members: members, random: random,
		links: map[string]*link{}, stretch: 1, telling: newTelling(), part: part{epochs: map[string]uint64{}},
	}
}

// Tick says what time it is.
func (r *Replication) Tick(now time.Time) {
	if r.born.IsZero() {
		r.born = now
	}
	r.now = now
}

// beat says in a message how long this broker has run; the next message of its receiver says it back.
func (r *Replication) beat() uint64 { return uint64(r.now.Sub(r.born)/time.Millisecond) + 1 }

// HeardUs says when this broker sent the latest message of which a peer's message shows that the peer has
// heard it; zero when it shows nothing (rule P1).
func (r *Replication) HeardUs(m *wire.Message) time.Time {
	if m.Heard == 0 || m.Heard > r.beat() || m.To != r.cfg.Actor {
		return time.Time{}
	}
	return r.born.Add(time.Duration(m.Heard-1) * time.Millisecond)
}

// Asked says when the message was sent to which a member has replied now: a page of a transfer, or another.
func (r *Replication) Asked(name string, page bool) time.Time {
	if l := r.links[name]; l != nil {
		return l.lane(page).asked
	}
	return time.Time{}
}

// SetStretch stretches the periodic exchange while this machine is busy: from 1 (not at all) to 2
// (rule S5).
func (r *Replication) SetStretch(factor float64) { r.stretch = min(max(factor, 1), 2) }

// Stretch is the present factor.
func (r *Replication) Stretch() float64 { return r.stretch }

// HoldsUpdate reports whether a member is known to hold an update: it has said so by its clock, or when it
// took what is newer than a transfer to it (rule R2), or wrote the update itself (nothing leaves a broker
// unsynced, rule I4).
func (r *Replication) HoldsUpdate(name string, d clock.Dot) bool {
	l := r.links[name]
	return l != nil && (l.actor == d.Actor || l.heard && (r.lineage.Has(l.known, d) || l.taken.has(d, r.lineage)))
}

// Copy reports whether a member counts as a copy of an update (rule A1): it is known to hold it, and that was not
// on its disk before it was proven (rule M3).
func (r *Replication) Copy(name string, d clock.Dot) bool {
	l := r.links[name]
	return r.HoldsUpdate(name, d) && !(l.unproven && r.lineage.Has(l.brought, d))
}

// HoldsAll reports whether a member is known to hold several updates.
func (r *Replication) HoldsAll(name string, dots clock.Vector) bool {
	l := r.links[name]
	return l != nil && l.heard && l.holds(dots, r.lineage)
}

// CountsOn reports whether a member is counted on to hold what is written now: not while it lacks much, unless
// it has shown that it takes what is newer all the same (rule R2), nor when it leaves and has said goodbye: it takes
// nothing any more (rule M2).
func (r *Replication) CountsOn(name string) bool {
	l := r.links[name]
	goes := r.members.Leaves(name) && r.members.Roll().Closed(name)
	return !goes && (l == nil || !l.behind || l.follows)
}

// Clock is what a member's present start has said that it holds; nil when it has not spoken. The
// caller does not change it.
func (r *Replication) Clock(name string) clock.Tips {
	if l := r.links[name]; l != nil {
		return l.known
	}
	return nil
}

// Heard reports whether a member's present start has told its clock.
func (r *Replication) Heard(name string) bool {
	l := r.links[name]
	return l != nil && l.heard
}

// Covers reports whether a member's present start has told a clock that covers these dots.
func (r *Replication) Covers(name string, dots clock.Vector) bool {
	l := r.links[name]
	return l != nil && l.heard && r.lineage.HasAll(l.known, dots)
}

// Covered counts the brokers, this one included, whose clocks cover these dots, and those that should:
// all that take part.
func (r *Replication) Covered(dots clock.Vector) (by, of int) {
	by, of = 1, 1
	for _, name := range r.members.Counted() {
		of++
		if r.Covers(name, dots) {
			by++
		}
	}
	return by, of
}

// Without lists the members, absent ones too, that are not known to hold all of c.
func (r *Replication) Without(c clock.Tips) (names []string) {
	for _, name := range r.members.Counted() {
		if l := r.links[name]; l == nil || !l.heard || !r.lineage.Covers(l.known, c) {
			names = append(names, name)
		}
	}
	return names
}

// LacksNothing reports whether every member is there and known to hold nothing that this broker
// lacks.
func (r *Replication) LacksNothing() bool {
	c := r.ledger.Clock()
	for _, name := range r.members.Counted() {
		l := r.links[name]
		if !r.members.Alive(name) || l == nil || !l.heard || !r.lineage.Covers(c, l.known) {
			return false
		}
	}
	return true
}

// LivingHaveTold reports whether every member that is alive has told its clock, and this broker holds all of it.
func (r *Replication) LivingHaveTold() bool {
	c := r.ledger.Clock()
	for _, name := range r.members.Names() {
		if l := r.links[name]; r.members.Alive(name) && !(l != nil && l.heard && r.lineage.Covers(c, l.known)) {
			return false
		}
	}
	return true
}

// Handover says how far the others are with what a broker that is about to leave has written.
type Handover struct {
	Holders int  // brokers that hold all that this one holds, this one included
	Stable  int  // of these, the others that have told as stable all that is stable here
	Living  bool // all that are alive hold what it wrote
	All     bool // all members do, also those that are absent
}

// HandOver looks how far the others are, and asks those that are not known to be done: they may
// have it from others, and their answer says so before the next exchange.
func (r *Replication) HandOver() Handover {
	c := r.ledger.Clock()
	wrote := c.Of(r.self) // in all its starts
	h := Handover{Holders: 1, Living: true, All: true}
	for _, name := range r.members.Counted() {
		l := r.links[name]
		has := l != nil && r.lineage.Covers(l.known, wrote)
		h.All = h.All && has
		if l == nil || !r.members.Alive(name) {
			continue
		}
		h.Living = h.Living && has
		holds := l.heard && r.lineage.Covers(l.known, c)
		stable := holds && !l.unproven && r.lineage.Covers(l.told.stable, r.ledger.StableClock())
		if holds {
			h.Holders++
		} else {
			l.rumour = true
		}
		if stable {
			h.Stable++
		} else {
			l.hasten()
		}
	}
	return h
}

// Stamping is what a member's stamps would show now, as far as its last message says; zero when it
// was not heard since this broker's start.
func (r *Replication) Stamping(name string) time.Time {
	l := r.links[name]
	if l == nil || !l.heard {
		return time.Time{}
	}
	return l.stamped.Time().Add(r.now.Sub(l.lastSeen))
}

// seen is the clock from which members are to send, nil when it is the clock itself (rule L10).
func (r *Replication) seen() clock.Tips {
	if r.ledger.Quarantined() == 0 {
		return nil
	}
	return r.ledger.Seen()
}

// Head is what every message and reply says of its sender.
type Head struct {
	Hybrid   clock.Hybrid
	Metadata *wire.Metadata // without its clock, which the message carries
}
