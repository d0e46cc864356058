package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
)

// enrolment keeps the roll: it admits who has come, and notes who has gone for good (rules M1, M2). Whoever is in
// the roll counts until its record is closed, however long it is absent: nobody leaves by a timeout.
//
// A broker is admitted by the first member by name that is there; the next ones write the record, each a while
// later, if it has not come, so that it is written once as a rule. Several copies do no harm: they merge.
type enrolment struct {
	*core
	coming   map[string]time.Time // who is to be admitted, and since when
	lost     map[string]time.Time // whose record is known by an update that nobody else seems to hold, and since when
	asked    map[string]time.Time // of those, when it is asked next who has let them in (rule M6)
	turn     int                  // how many members are to write before this one
	adopting bool                 // who was in the roll before there was a city is written down
	heard    uint64               // the epoch of our own record of which enough others have told that they know it
}

// patience is for how long each member waits for the one before it to admit somebody.
const patience = 2 * time.Second

func newEnrolment(c *core) enrolment {
	return enrolment{core: c, coming: map[string]time.Time{}, asked: map[string]time.Time{}}
}

// look compares who is there with the roll.
func (e *enrolment) look() {
	r := e.members.Roll()
	e.coming = e.since(e.coming, e.members.Names(), func(name string) bool { return e.mayEnter(e.members.Get(name)) })
	e.lost = e.since(e.lost, r.Known(), e.orphaned)
	maps.DeleteFunc(e.asked, func(name string, _ time.Time) bool { return e.coming[name].IsZero() || !e.members.Stranger(name) })
	e.turn = 0
	for _, name := range e.members.Names() {
		if (name < e.self || e.offer.draining) && e.members.Alive(name) && !e.members.Leaves(name) && (r.Empty() || r.Has(name)) {
			e.turn++
		}
	}
}

// since says of those names for which it is so since when it is.
func (e *enrolment) since(before map[string]time.Time, names []string, so func(string) bool) map[string]time.Time {
	now := map[string]time.Time{}
	for _, name := range names {
		if so(name) {
			now[name] = e.now
			if at, known := before[name]; known {
				now[name] = at
			}
		}
	}
	return now
}

// orphaned reports whether the update that says what a record says is not held here, though the record is, and who
// wrote it is gone. Its other updates may be lost with its disk: then no clock will ever cover this one.
func (e *enrolment) orphaned(name string) bool {
	rec := e.members.Roll().Get(name)
	return !rec.Last() && !e.ledger.Has(rec.By) && !e.members.Present(rec.By.Actor)
}

// mayEnter reports whether a member that SWIM has is to get an open record: it has none yet, or it is back after
// its record was closed.
func (e *enrolment) mayEnter(m membership.Member) bool {
	switch rec := e.members.Roll().Get(m.Name); {
	case rec == nil:
		return m.Status != membership.Left
	case rec.Open() || rec.Last() || m.Status != membership.Alive || m.Actor == "" || e.members.Leaves(m.Name):
		return false
	default:
		// Else it is the one that is about to go, or SWIM has not told yet of the start that is (rule K3).
		return rec.Closed != roll.Left || rec.By.Actor != m.Actor && !m.Actor.Before(rec.By.Actor)
	}
}

// admit writes the records that are due.
func (e *enrolment) admit() {
	r := e.members.Roll()
	if r.Closed(e.self) && !r.Get(e.self).Last() && len(r.Names()) == 0 && !e.offer.draining {
		e.write(e.self, "") // two sides have removed each other: it goes on as a cluster of one
	}
	if len(e.coming)+len(e.lost) == 0 || !e.mayWrite() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(e.lost)) {
		if !e.now.Before(e.dueAgain(name)) && e.orphaned(name) && e.peers.LivingHaveTold() {
			e.write(name, r.Get(name).Closed)
		}
	}
	first := r.Empty()
	for _, name := range slices.Sorted(maps.Keys(e.coming)) {
		switch {
		case e.now.Before(e.due(name)):
		case e.members.Stranger(name): // its admission goes first
			e.whoIs(name)
		default:
			e.write(name, "")
		}
	}
	if first && !r.Empty() {
		e.write(e.self, "") // there was no roll: its first writer is in it
	}
	e.look()
}

// mayWrite reports whether this broker may admit somebody: all can read the record, and it is in the roll itself.
// Where there is no roll yet, it first holds all that those have told that are there: then none of them has one.
func (e *enrolment) mayWrite() bool {
	if e.needs(wire.V3) != nil {
		return false
	}
	if e.members.Roll().Empty() {
		return e.members.Living() > 1 && e.peers.LivingHaveTold()
	}
	return e.members.Roll().Has(e.self) && !e.blocked()
}

// due is when this broker admits somebody, unless others have by then.
func (e *enrolment) due(name string) time.Time {
	return e.coming[name].Add(time.Duration(e.turn) * patience)
}

// dueAgain is when this broker writes a record again whose update is lost: those that are there have met by then.
func (e *enrolment) dueAgain(name string) time.Time {
	return e.lost[name].Add(e.cfg.SyncInterval + time.Duration(e.turn)*patience)
}

// wake is when there will be something to do although nothing happens; zero is never.
func (e *enrolment) wake() (at time.Time) {
	for name := range e.coming {
		if due := e.due(name); due.After(e.now) {
			at = sooner(at, due)
		}
	}
	for _, next := range e.asked {
		at = sooner(at, next)
	}
	for name := range e.lost {
		if due := e.dueAgain(name); due.After(e.now) {
			at = sooner(at, due)
		}
	}
	return at
}

// write changes a name's record: closed as it says, or with "" open.
func (e *enrolment) write(name string, closed roll.Closing) *roll.Record {
	r, err := e.ledger.Apply(kind.MemberRef(name), func(dot clock.Dot, old ledger.Record) ledger.Record {
		o, _ := old.(*roll.Record)
		return roll.Change(o, name, closed, dot, e.stamp())
	})
	if err != nil {
		e.fail(err)
		return nil
	}
	rec := r.(*roll.Record)
	e.noted(rec, true)
	return rec
}

// noted takes in a record that was written or learnt, and passes it on.
func (e *enrolment) noted(r *roll.Record, own bool) {
	before := e.members.Roll().Get(r.Name)
	waited := e.members.Unenrolled(r.Name) || before != nil && !before.Open()
	e.members.Enroll(r)
	if r.Name == e.self && before != nil && r.Open() && r.Epoch > before.Epoch {
		e.peers.BeginAnew()         // it counted others than those who count now
		e.peers.Distrust(e.stamp()) // the others may have forgotten meanwhile what is remembered here (rule L9)
	}
	e.peers.Recount()
	if waited && e.members.Roll().Has(r.Name) {
		e.peers.Pull(r.Name) // what it has told meanwhile was not taken
	}
	if !r.Open() {
		e.dropAdopted(r.Name)
		e.reviewMembers() // what waited for it need not any more
	}
	e.tell(r.Dots, own, r.Name)
	e.look()
}

// blocked reports whether this broker takes nothing in: its own record is closed, or was opened again, and not
// enough others have told yet that they know of that. Until then what it hears may come from somebody who does not
// count it any more, and what it tells may count for less than it believes; and what it remembers others may have
// forgotten (rules M2, L9).
func (e *enrolment) blocked() bool {
	rec := e.members.Roll().Get(e.self)
	if rec == nil || rec.Epoch == 1 && rec.Open() {
		return false
	}
	if !rec.Open() {
		return true
	}
	if e.heard == rec.Epoch {
		return false
	}
	others, know := 0, 0
	for _, name := range e.members.Roll().Names() {
		switch {
		case name == e.self || e.waitsToo(name):
		case e.peers.HoldsUpdate(name, rec.By):
			others, know = others+1, know+1
		default:
			others++
		}
	}
	if know < min(e.cfg.Replicas, others) {
		return true
	}
	e.heard = rec.Epoch
	e.peers.Distrust(e.stamp()) // what was told meanwhile was not taken, what others have forgotten neither
	return false
}

// waitsToo reports whether another was opened again and has told that it does not hold that yet: it takes nothing in
// either, and two of that sort must not wait for each other.
func (e *enrolment) waitsToo(name string) bool {
	rec := e.members.Roll().Get(name)
	return rec.Epoch > 1 && e.peers.Heard(name) && !e.peers.HoldsUpdate(name, rec.By)
}

// take takes in from a delta what may be taken before its sender takes part: who it is that sends it.
func (e *enrolment) take(from string, d ledger.Delta) (part ledger.Delta) {
	closed := e.members.Roll().Closed(from)
	part = ledger.Delta{From: d.From, Since: d.Since}
	for _, in := range d.Entries {
		switch {
		case in.Record == nil:
		case in.Kind == kind.Member && (!closed || in.Key == from || in.Key == e.self):
			part.Entries = append(part.Entries, in)
		case in.Kind == kind.Setting && saysWho(in.Record): // or its opening would not count (rule M6)
			part.Entries = append(part.Entries, in)
		case in.Kind == ledger.Starts && !closed: // or it could not tell what others' clocks stand for (rule K2)
			part.Entries = append(part.Entries, in)
		}
	}
	return part
}

// takesFrom reports whether records of a message, or a reply, may be taken in: they come from somebody who takes
// part, and this broker does. The message itself may bring the records that say so.
func (b *Broker) takesFrom(from string, d ledger.Delta) bool {
	if b.members.TakesPart(from) && !b.enrolment.blocked() {
		return true
	}
	b.merge(b.enrolment.take(from, d))
	return b.members.TakesPart(from) && !b.enrolment.blocked()
}

// goodbye says how far this broker is with leaving the roll.
type goodbye int

const (
	impossible goodbye = iota // it is in no roll, or too few others are there: it stays in it, and counts as absent
	pending                   // others that are there lack something of what it holds, or its goodbye
	said                      // its record is closed
)

// sayGoodbye closes this broker's own record when enough others hold all that it does, and have told as stable what is
// stable here: it may have shown that as firm, on its own word (rule M2). Those that are absent need not be waited for: the
// others know all that it wrote, and nothing is on its disk alone.
func (e *enrolment) sayGoodbye(holders int) goodbye {
	r := e.members.Roll()
	if r.Closed(e.self) {
		return said
	}
	if !r.Has(e.self) && e.members.Living() > 1 && e.needs(wire.V3) == nil {
		return pending // it is about to be admitted: left before that, it would count as absent for good
	}
	others, there := len(r.Names())-1, 0
	for _, name := range r.Names() {
		if name != e.self && e.members.Alive(name) {
			there++
		}
	}
	switch enough := min(e.cfg.Replicas, others); {
	case !r.Has(e.self) || others == 0 || there < enough || e.needs(wire.V3) != nil:
		return impossible
	case holders >= enough:
		e.write(e.self, roll.Left)
	}
	return pending
}

// list says who has a member record.
func (e *enrolment) list() (out []Enrolled) {
	r := e.members.Roll()
	for _, name := range r.Known() {
		m := Enrolled{Name: name, Closed: r.Get(name).Closed}
		if m.Absent = m.Closed == "" && name != e.self && e.members.Absent(name); m.Absent {
			if since := e.members.AbsentSince(name); !since.IsZero() {
				m.Since = e.wall.Add(since.Sub(e.now))
			}
		}
		out = append(out, m)
	}
	for _, name := range e.members.Uninvited() {
		m := Enrolled{Name: name, Uninvited: e.members.Opening(name).By.Actor.Broker()}
		out = append(slices.DeleteFunc(out, func(o Enrolled) bool { return o.Name == name }), m)
	}
	return out
}

// noSuchMember says that nobody has this name, and who may have been meant.
func (b *Broker) noSuchMember(name string) *NoSuchMember {
	return &NoSuchMember{name, label.Slip(name, append(b.members.Counted(), b.members.Roll().Known()...))}
}

// forgetMember closes the record of a broker that an operator gives up (rule M2).
func (b *Broker) forgetMember(in ForgetMember) {
	r := b.members.Roll()
	switch {
	case in.Name == b.self: // also while it is alone, and in no roll yet
		b.answer(in.Token, &MemberReachable{in.Name})
	case !r.Has(in.Name) && b.members.Opening(in.Name) == nil && !slices.Contains(b.members.Counted(), in.Name):
		b.answer(in.Token, b.noSuchMember(in.Name))
	case b.members.Alive(in.Name) || b.members.Get(in.Name).Status == membership.Leaving:
		b.answer(in.Token, &MemberReachable{in.Name})
	default:
		if refused := b.needs(wire.V3); refused != nil {
			b.answer(in.Token, refused)
			return
		}
		if rec := b.enrolment.write(in.Name, roll.Removed); rec != nil {
			b.awaitCopies(ack.Demand{Dot: rec.By}, &removalWaiter{by: in.Token, name: in.Name})
		}
	}
}

// removalWaiter is an operator who waits until others know of a removal (rule A1).
type removalWaiter struct {
	by   Token
	name string
}

func (r *removalWaiter) token() Token { return r.by }

func (r *removalWaiter) durable(b *Broker, copies int) {
	b.published.at = time.Time{} // who looks now is to see it
	b.answer(r.by, &MemberForgotten{
		Name: r.name, Losses: b.members.Losses(), Bear: b.cfg.Replicas - 1,
		Replicas: copies, Degraded: b.copies.Degraded(copies),
	})
}
