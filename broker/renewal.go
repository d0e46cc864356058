package broker

import (
	"fmt"
	"time"

	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
)

// renewal begins another start of this broker while its process runs, at most one a minute: when its start is not above
// what others hold of its name, or they hold more of it than it wrote (rule K3), when that start has said goodbye (rule M2), and when its clock has several tips of its own
// name, which the row of the new start folds into one (rule K2). The shell makes the actor, since it must be on the disk,
// and of a randomness that no copy of this process shares. Workers, clients and jobs notice nothing of it.
type renewal struct {
	*core
	why   string     // "" is that nothing is to be done
	above clock.Tips // what others have told of our name
	doubt bool       // others hold something else under our dots, or believe that they hold these
	asked bool       // the shell makes one
	next  time.Time  // not before then
	claim bool       // the same, by a claim of forgetting alone
	given clock.Dot  // up to where the last start has written, if it has given up some of that in the clock
	known uint64     // updates of this start up to which others may have forgotten records without it: it was removed (rule M2)
}

// renewEach is the least time between two starts in one process. What puts updates of this start in doubt is looked at for a
// while first: if this broker was removed, that comes with the first delta, and what others have forgotten without it is not
// created again.
const (
	renewEach  = time.Minute
	doubtAfter = 5 * time.Second
)

// hear looks at what a peer holds of this broker's name, before anything else of it is used.
func (m *renewal) hear(s *replication.Said) {
	for _, c := range []clock.Tips{s.Clock, s.Seen} {
		own := c.Of(m.self)
		switch {
		case len(own) == 0:
		case m.overstates(c):
			m.putInDoubt(fmt.Sprintf("%s holds %d updates of %s, which has written %d", s.From, m.claimed(c), m.cfg.Actor, m.ledger.Wrote()), own)
		case own.Outdates(m.cfg.Actor, m.wall):
			m.want(fmt.Sprintf("%s holds %v, which is not before %s", s.From, own, m.cfg.Actor), own)
		}
	}
}

// forged takes in that a record of a peer has updates of this broker's start that it has never written. It is not taken in, nor
// the peer's clock for those who wrote it (rule X1): as long as this start lasts, since later ones have other updates.
func (m *renewal) forged(from string, ref ledger.Ref) {
	m.putInDoubt(fmt.Sprintf("the %s %s of %s has updates of %s, which has written %d", ref.Kind, ref.Key, from, m.cfg.Actor, m.ledger.Wrote()), nil)
}

// putInDoubt wants a start that says again what not all are known to hold of the present one.
func (m *renewal) putInDoubt(why string, above clock.Tips) {
	m.delay(m.doubt)
	m.want(why, above)
	m.doubt = true
}

// deny reports whether a peer's word that it has forgotten a record can't be true: this start has created it, and not
// every member is known to hold it. So the peer holds something else under that dot.
func (m *renewal) deny(from string, r ledger.Record) bool {
	if m.needs(wire.V3) != nil {
		return false
	}
	for d := range r.Creations() {
		if d.Actor == m.cfg.Actor && d.Counter > m.known && !m.ledger.Lineage().Has(m.ledger.StableClock(), d) {
			m.delay(m.doubt || m.claim)
			m.want(fmt.Sprintf("%s calls gone what %v has created", from, d), nil)
			m.claim = true
			return true
		}
	}
	return false
}

// removed says that this broker was removed from the roll, or is back: what others have forgotten meanwhile they need not
// have heard from it that it knows (rule M2).
func (m *renewal) removed() {
	m.known = m.ledger.Wrote()
	if m.claim && !m.doubt && len(m.above) == 0 {
		m.why = ""
	}
	m.claim = false
}

// delay lets the reason for the next start be looked at for a while, unless that has begun.
func (m *renewal) delay(begun bool) {
	if !begun {
		m.next = later(m.next, m.now.Add(doubtAfter))
	}
}

func (m *renewal) want(why string, above clock.Tips) {
	if m.why == "" {
		m.why = why
	}
	for _, d := range above {
		(*clock.Vector)(&m.above).Set(d)
	}
}

// ask asks for another start if one is due.
func (m *renewal) ask() {
	m.takeBack()
	if m.why == "" {
		m.comeBack()
	}
	if m.why == "" {
		m.fold()
	}
	if m.why == "" || m.asked || m.now.Before(m.next) || m.offer.draining && !m.doubt || !m.started() || m.needs(wire.V3) != nil {
		return
	}
	m.asked = true
	m.out.Mint = &Mint{Above: m.above, Why: m.why}
}

// awaited reports whether this broker can't leave yet: a start is being made, or is to be, since others believe that they hold
// what it alone does.
func (m *renewal) awaited() bool {
	return m.asked || m.why != "" && m.doubt && m.needs(wire.V3) == nil
}

// comeBack wants a start when the present one has said goodbye, and runs: it goes on as a copy that was made of it since then. The
// others let in only a start that is later than the goodbye's, since of that one they may still hear what it sent before (rule M2).
func (m *renewal) comeBack() {
	r := m.members.Roll()
	own := r.Get(m.self)
	if own != nil && own.Closed == roll.Left && own.By.Actor == m.cfg.Actor && !m.offer.draining && len(r.Names()) > 0 {
		m.want(fmt.Sprintf("%s has said goodbye, and goes on", m.cfg.Actor), nil)
	}
}

// fold wants a start when the clock has several tips of this broker's name and what it holds is proven, or writes the
// row of the present one, if that has written nothing yet and lists several.
func (m *renewal) fold() {
	own := m.ledger.Own()
	if _, numbered := m.cfg.Actor.Start(); !numbered || len(own) < 2 || len(own.Foldable(m.self, m.wall)) < 2 || !m.peers.Proven() {
		return
	}
	if !m.ledger.WriteRow() {
		m.want(fmt.Sprintf("its clock has %d tips of its own name", len(own)), nil)
	}
}

// takeBack takes into the clock again what was given up, when this broker holds what all that are there have told: what they
// hold under these updates has come, and what it has written under them goes with those that say it again. Otherwise
// no clock would cover an end among them, and it would never be firm.
func (m *renewal) takeBack() {
	if m.given.Actor != "" && m.members.Living() > 1 && m.peers.LivingHaveTold() {
		m.ledger.TakeBack(m.given)
		m.given = clock.Dot{}
	}
}

// due is when a start is asked for; zero is never, or at once.
func (m *renewal) due() time.Time {
	if m.why == "" || m.asked || !m.now.Before(m.next) {
		return time.Time{}
	}
	return m.next
}

// minted goes on as the start that was asked for.
func (b *Broker) minted(in Minted) {
	m := &b.renewal
	m.asked, m.next = false, b.now.Add(renewEach)
	if in.Actor == "" {
		return
	}
	old, known, doubt, by := b.cfg.Actor, m.known, m.doubt || m.claim, b.ledger.Lineage()
	fold := !doubt && len(m.above) == 0
	m.why, m.above, m.doubt, m.claim, m.known = "", nil, false, false, 0
	b.stats.Minted++
	b.cfg.Actor = in.Actor
	b.ledger.GoOnAs(in.Actor)
	b.members.GoOnAs(in.Actor)
	if doubt {
		b.sayAgain(clock.Dot{Actor: old, Counter: by.Get(b.ledger.StableClock(), old)}, known)
	}
	b.peers.GoOnAs(in.Actor)
	if fold {
		b.ledger.WriteRow()
		return
	}
	b.distrust() // it may be an older copy of itself
}

// sayAgain writes again, under the present start, all that an earlier one of this process has written beyond an update: up
// to there every member is known to hold it (rule F1). Those who hold something else under the later dots, or believe that
// they hold these, would never take them in. Who waits for copies of one waits for those of what is written now. What was
// created up to an update of which it is known that others may have forgotten it without this broker is not created again.
func (b *Broker) sayAgain(beyond clock.Dot, known uint64) {
	if n := b.ledger.Lineage().Get(b.ledger.Seen(), beyond.Actor); n > beyond.Counter {
		b.renewal.given = clock.Dot{Actor: beyond.Actor, Counter: n}
	}
	for _, ref := range b.ledger.GiveUp(beyond) {
		b.writeAgain(ref, func(created clock.Dot) bool {
			return created.Actor == beyond.Actor && created.Counter > max(beyond.Counter, known)
		})
	}
	last := clock.Dot{Actor: b.cfg.Actor, Counter: b.ledger.Wrote()}
	b.copies.Instead(func(d clock.Dot) clock.Dot {
		if d.Actor == beyond.Actor && d.Counter > beyond.Counter {
			return last
		}
		return d
	})
}

// writeAgain writes a record again as it is, with another creation if one of its creations is in doubt: others take it
// for one that they have forgotten (rule L7).
func (b *Broker) writeAgain(ref ledger.Ref, doubtful func(clock.Dot) bool) {
	var old ledger.Record
	r, err := b.ledger.Apply(ref, func(dot clock.Dot, r ledger.Record) ledger.Record {
		if old = r; r == nil {
			return nil
		}
		again := false
		for d := range r.Creations() {
			again = again || doubtful(d)
		}
		switch r := r.(type) {
		case *job.Record:
			return r.With(dot, func(r *job.Record) {
				if again {
					r.AddCreation(job.Stamp{Dot: dot, At: b.stamp()})
				}
			})
		case *emergency.Record:
			return r.Again(dot, again)
		case *setting.Setting:
			c := *r
			c.Register = r.Again(dot, again)
			return &c
		case *roll.Record:
			return r.Again(dot, b.stamp(), again)
		case *data.Record:
			return r.Again(dot, again)
		}
		return nil
	})
	if err != nil {
		b.fail(err)
		return
	}
	switch r := r.(type) {
	case *job.Record:
		was, _ := old.(*job.Record)
		b.noted(was, r)
	case *emergency.Record:
		b.emergencies.changedRecord(r)
	case *setting.Setting:
		b.settingChanged(r, true)
	case *roll.Record:
		b.enrolment.noted(r, true)
	case *data.Record:
		was, _ := old.(*data.Record)
		b.names.noted(was, r, true)
	}
}

// unreachable says that a message had no reply.
func (b *Broker) unreachable(in Unreachable) {
	if in.By == "" || in.By == b.cfg.Actor {
		b.peers.Unreachable(in.Peer, in.Page)
	}
}
