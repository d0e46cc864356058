package replication

import (
	"slices"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// stability is how this broker comes to its stable clock, the updates that every member is known to hold
// (rule F1; causal stability: Baquero, Almeida, Shoker 2014). The ledger keeps that clock, since it must be
// synced before it is told. It never goes back, and is computed as clocks come in: when what one member is
// known to hold goes up in an entry, that entry is looked at, and nothing else.
type stability struct {
	counting bool         // a roster has come
	meet     clock.Tips   // what the stable clock may be raised to
	ahead    bool         // it lies above the stable clock
	awaited  clock.Vector // what somebody waits for to become stable
}

// agree notes up to where the members and this broker hold the same: of each the latest clock that it has told and that
// ours covers. Only when all is noted does it look at what went up: a member whose disk was restored now tells less than
// before, and counts with that.
func (r *Replication) agree() {
	risen := map[clock.Dot]bool{} // and whether its start is new to one of them
	for _, l := range r.links {
		if l.settled {
			continue
		}
		before, counted := l.agreed.clock, r.knowsRoll(l)
		for range 2 {
			if r.ledger.Covers(l.offered.clock) {
				l.agreed, l.offered = l.offered, l.latest
			}
		}
		l.settled = r.ledger.Covers(l.latest.clock)
		if !counted && r.knowsRoll(l) {
			before = nil // nothing of it has counted so far
		}
		for d := range clock.Vector(l.agreed.clock).Beyond(clock.Vector(before)) {
			risen[d] = risen[d] || clock.Vector(before).Get(d.Actor) == 0
		}
	}
	for d, fresh := range risen {
		r.lift(d, fresh)
	}
}

// knowsRoll reports whether a member has told, in a clock that ours covers, that it knows the roll as this broker
// does. Otherwise it may count without somebody who has come, or with who is gone, and what it tells is not what
// every member holds (rule M2).
func (r *Replication) knowsRoll(l *link) bool {
	return r.lineage.HasAll(l.agreed.clock, r.members.Roll().Clock())
}

// lift raises an entry of what every member is known to hold, at most to a dot that this broker holds. Of a start that is
// new, and that not every member knows, they may all hold what it stands for (rule K1).
func (r *Replication) lift(d clock.Dot, fresh bool) {
	s := &r.stability
	at, low := r.lineage.Get(s.meet, d.Actor), d.Counter
	for _, name := range r.members.Counted() {
		l := r.links[name]
		if l == nil || !r.knowsRoll(l) {
			return
		}
		if low = min(low, r.lineage.Get(l.agreed.clock, d.Actor)); low <= at {
			break
		}
	}
	switch parents, _ := r.lineage.Row(d.Actor); {
	case low > at:
		s.meet, s.ahead = r.lineage.Merge(s.meet, clock.NewTips(clock.Dot{Actor: d.Actor, Counter: low})), true
	case low == 0 && fresh:
		for _, p := range parents {
			r.lift(p, fresh)
		}
	}
}

// Recount says that other members may count now than before: what held the stable clock back may not do so any
// more.
func (r *Replication) Recount() {
	r.part.changed = true
	s := &r.stability
	s.counting = !r.members.Expects()
	s.meet = r.lineage.Merge(s.meet, r.ledger.StableClock())
	if s.counting {
		for _, d := range r.ledger.Clock() {
			r.lift(d, true)
		}
	}
}

// BeginAnew empties the stable clock, and voids what the members have told: this broker was out of the roll, and counted
// others than those who count now (rule M2). Those who have heard its stable clock learn that it counts no more.
func (r *Replication) BeginAnew() {
	s := &r.stability
	r.ledger.ResetStable()
	r.proof.stable, r.proof.keep = nil, true
	s.meet, s.ahead = nil, false
	r.telling.beginAnew(r.ledger.Clock())
	for _, l := range r.links {
		l.agreed, l.offered, l.latest, l.settled = told{}, told{}, told{}, true // the next message says what counts now
	}
}

// maxAwaited bounds the starts whose updates are awaited: what a liar has invented never becomes stable, and would stay. It is as many as a
// clock may have brokers.
const maxAwaited = wire.MaxClock

// Await says that somebody waits for these updates to become stable: what brings them nearer is written and
// told at once, and not only when there is something else to say. Beyond maxAwaited it begins again with these: what else was awaited
// becomes stable when there is something to say.
func (r *Replication) Await(dots clock.Vector) {
	s := &r.stability
	if s.awaited.Merge(dots); len(s.awaited) > maxAwaited {
		s.awaited = slices.Clone(dots[:min(len(dots), maxAwaited)])
	}
}

// Settle raises the stable clock to what the members have told. That costs a write, so it waits for company
// unless somebody waits for it. The caller does this before each message and each batch of the ledger.
func (r *Replication) Settle() {
	s := &r.stability
	if !s.counting {
		return
	}
	r.agree()
	if r.alone() {
		for d := range clock.Vector(r.ledger.Clock()).Beyond(clock.Vector(s.meet)) {
			r.lift(d, true)
		}
	}
	if !s.ahead {
		return
	}
	stable, awaited := r.ledger.StableClock(), false
	s.awaited = slices.DeleteFunc(s.awaited, func(d clock.Dot) bool { return r.lineage.Has(stable, d) })
	for _, d := range s.awaited {
		awaited = awaited || r.lineage.Get(s.meet, d.Actor) > r.lineage.Get(stable, d.Actor)
	}
	if !awaited && !r.ledger.Dirty() {
		return
	}
	s.ahead = false
	r.ledger.RaiseStable(s.meet)
	if awaited && r.cfg.NewsLinks {
		r.tellStable()
	}
}

// alone reports whether this broker is the only one that counts.
func (r *Replication) alone() bool { return len(r.members.Counted()) == 0 }

// tellStable lets as many ring successors hear of the stable clock soon as it takes for a firm answer: so each
// broker hears it soon of as many as it needs (rule F2).
func (r *Replication) tellStable() {
	ring := r.members.Ring()
	for _, name := range ring[:min(len(ring), max(r.cfg.Copies-1, 0))] {
		if l := r.links[name]; l != nil && r.members.Speaks(name) > 1 {
			l.rumour, l.stableNews = true, true
		}
	}
}

// followLeaver brings what a member that leaves has told as stable to be stable here: it says goodbye when enough others
// have (rule M2). Who holds it back is asked; otherwise it tells its clock with the next exchange only.
func (r *Replication) followLeaver(name string, l *link) {
	if r.lineage.Covers(r.ledger.StableClock(), l.told.stable) {
		return
	}
	r.Await(clock.Vector(l.told.stable))
	for _, other := range r.members.Counted() {
		if o := r.links[other]; other != name && o != nil && !(r.knowsRoll(o) && r.lineage.Covers(o.agreed.clock, l.told.stable)) {
			o.hasten()
		}
	}
}

// StraysTaken reports whether this broker holds updates that no clock will ever cover, as far as anybody can tell now:
// every member has answered that it has taken them, and that it holds nothing which this broker does not hold as
// well (rule L5). Whoever wrote them has another start now, or is in the roll no more.
func (r *Replication) StraysTaken() bool {
	strays := r.ledger.Strays()
	if strays == 0 || !r.stability.counting || r.CatchingUp() {
		return false
	}
	for _, name := range r.members.Counted() {
		l := r.links[name]
		if l == nil || !l.heard || l.strays < strays || !r.ledger.Covers(l.known) {
			return false
		}
	}
	return true
}

// Firm reports whether what these updates have decided can't change any more (rule F2): they are stable here,
// and as many brokers as hold a copy, this one included, have told that they are stable there, or all, if there
// are fewer. While a member speaks version 1 of the protocol, our own word is all there is.
func (r *Replication) Firm(dots clock.Vector) bool {
	if !r.lineage.HasAll(r.ledger.StableClock(), dots) {
		return false
	}
	have, of := 1, 1
	for _, name := range r.members.Counted() {
		if have >= r.cfg.Copies {
			return true
		}
		if of++; r.stableAt(name, dots) {
			have++
		}
	}
	return have >= min(r.cfg.Copies, of) || r.members.Protocol() < 2
}

// Unstable lists the members that keep these updates from being firm: those that hold the stable clock back, or
// when it has come, those that have not told so of theirs.
func (r *Replication) Unstable(dots clock.Vector) (names []string) {
	here := r.lineage.HasAll(r.ledger.StableClock(), dots)
	for _, name := range r.members.Counted() {
		l := r.links[name]
		if here && !r.stableAt(name, dots) || !here && !(l != nil && r.knowsRoll(l) && r.lineage.HasAll(l.agreed.clock, dots)) {
			names = append(names, name)
		}
	}
	return names
}

// Forgettable reports whether nobody can bring back what lacks these updates: every member has told that they
// are stable there (rule F3).
func (r *Replication) Forgettable(dots clock.Vector) bool {
	if !r.lineage.HasAll(r.ledger.StableClock(), dots) {
		return false
	}
	for _, name := range r.members.Counted() {
		if !r.stableAt(name, dots) {
			return r.members.Protocol() < 2
		}
	}
	return true
}

// stableAt reports whether a member has told these updates as stable, in a message of which we hold all that
// its sender held then: otherwise it may know of an end, or a seal, that comes before what we know.
func (r *Replication) stableAt(name string, dots clock.Vector) bool {
	l := r.links[name]
	return l != nil && r.knowsRoll(l) && r.lineage.HasAll(l.agreed.stable, dots)
}
