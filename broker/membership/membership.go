// Package membership knows which brokers are there: the members that SWIM sees, what each says of
// itself, which ones hold copies, and when a broker that does not answer counts as lost. It decides
// nothing about jobs; package broker asks it, and acts.
//
// Its parts:
//
//   - membership.go: the roster, and what follows from it
//   - ring.go: the order in which brokers hold copies, and which one succeeds another
//   - metadata.go: what each member says of itself
//   - roll.go: who takes part, whatever SWIM says (rules M1, M2)
//   - admitted.go: of whom that is believed, in a city (rule M6)
//   - presence.go: who is there although SWIM says otherwise (rule P1)
//   - protocol.go: which version of the protocol they speak, and what may be written (rule K5)
//   - absence.go: which members are absent, and from when on they are lost (rules J6, J7)
//   - superseded.go: earlier starts of members, whose late messages are not heard (rule I2)
//
// The package is pure: it is told the time, and never asks for it. One goroutine owns a
// [Membership]. The rules are numbered in docs/protocol.md.
package membership

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/roll"
)

// Config is what a membership is told once.
type Config struct {
	Actor          clock.Actor   // of this broker's present start
	RedeployDelay  time.Duration // how long a lost broker may still refute that before its jobs move (rule J6)
	IsolationDelay time.Duration // how long a broker that has lost most others waits before it takes over (rule J7)
	Expecting      bool          // it was told of others, and has never met one (rule K5)
	Protocol       int           // the highest version of the protocol that all speak whom it had met before its start; 0 if nobody
	Admitted       bool          // who takes part was admitted by an authority of the city (rule M6)
}

// Membership is the brokers that are there, as one of them sees it. The broker itself is not among its
// members, but counts as alive. Make one with [New].
type Membership struct {
	cfg    Config
	self   string
	starts []clock.Actor // of this broker's process, the first one first

	roster  []Member          // as SWIM sees it
	leases  map[string]lease  // of members that are there although SWIM says otherwise (rule P1)
	members map[string]Member // as they count

	names      []string // of members, sorted
	ring       []string // the live members behind this broker, in the order in which they get copies
	metadata   map[string]wire.Metadata
	direct     map[string]clock.Actor   // of these starts metadata came from the broker itself
	early      map[string]wire.Metadata // what members have said of starts that SWIM has not told of yet
	superseded superseded
	met        bool            // somebody, since the start
	unrolled   map[string]bool // who has counted while this broker held no roll, though one could be written

	roll     roll.Roll
	admitted admitted
	counted  []string // those whose knowledge counts, sorted
	others   int      // of these, those that are in the roll
	protocol int      // the highest version that every one of these speaks

	absent   map[string]*absence
	gone     map[string]time.Time // when a member last failed, or was found to have started again
	flaps    map[string]flapping
	isolated time.Time // until then nobody is declared lost (rule J7)
}

// New makes a membership of nobody but this broker.
func New(cfg Config) *Membership {
	m := &Membership{
		cfg: cfg, self: cfg.Actor.Broker(), starts: []clock.Actor{cfg.Actor},
		leases: map[string]lease{}, members: map[string]Member{}, metadata: map[string]wire.Metadata{}, direct: map[string]clock.Actor{}, early: map[string]wire.Metadata{},
		unrolled: map[string]bool{}, admitted: newAdmitted(), absent: map[string]*absence{}, gone: map[string]time.Time{}, flaps: map[string]flapping{},
	}
	m.count()
	return m
}

// Change says what a new roster brought.
type Change struct {
	Was       map[string]Status // of every member of the roster before
	Gone      []string          // members that are in the roster no more: Serf reaped them
	Restarted []string          // members with another actor than before: they hold what that one says, and nothing else is known
	Runners   bool              // which brokers can run jobs has changed
	Foreign   []string          // members whose tags name the actor of another (rule X2)
	Isolated  bool              // this broker has just lost so many that it is rather cut off itself (rule J7)
	Joined    bool              // this broker was alone among known members, and is not any more
}

// Update takes in the membership as SWIM sees it: every member (rule I2), with or without
// this broker itself.
func (m *Membership) Update(now time.Time, roster []Member) Change {
	m.roster = slices.Clone(roster)
	return m.Review(now)
}

// Review looks at the latest roster again, after a lease has begun or ended.
func (m *Membership) Review(now time.Time) Change {
	var foreign []string
	next := make(map[string]Member, len(m.roster))
	for _, x := range m.roster {
		if x.Name == m.self {
			continue
		}
		if x.Actor != "" && x.Actor.Broker() != x.Name || x.Process != "" && x.Process.Broker() != x.Name { // an actor belongs to its name (rule X2)
			x.Actor, x.Process = "", ""
			foreign = append(foreign, x.Name)
		}
		next[x.Name] = m.asProven(now, x)
	}
	for name := range m.leases {
		if _, known := next[name]; !known {
			delete(m.leases, name)
		}
	}
	c := Change{Foreign: foreign, Was: make(map[string]Status, len(m.members)), Runners: len(next) != len(m.members)}
	for _, name := range m.names {
		old := m.members[name]
		c.Was[name] = old.Status
		x, known := next[name]
		switch {
		case !known:
			c.Gone = append(c.Gone, name)
			delete(m.metadata, name)
			delete(m.direct, name)
			delete(m.early, name)
			delete(m.gone, name)
		case x.Actor != old.Actor:
			c.Restarted = append(c.Restarted, name)
			if m.absent[name] == nil && !x.Runs(old.AsProcess()) {
				m.gone[name] = now
			}
		}
		m.superseded.note(old.Actor, x.Actor)
	}
	for name, x := range next {
		old := m.members[name]
		c.Runners = c.Runners || old.Status != x.Status || old.Actor != x.Actor || old.Draining != x.Draining
	}
	alone := m.Living() == 1
	m.members, m.met = next, m.met || len(next) > 0
	m.names = m.names[:0]
	for name := range next {
		m.names = append(m.names, name)
	}
	slices.Sort(m.names)
	for _, name := range c.Restarted {
		m.learnEarly(name)
	}
	m.count()
	if m.roll.Empty() && m.protocol >= wire.V3 {
		for _, name := range m.counted {
			m.unrolled[name] = true
		}
	}
	m.ring = m.successors()
	c.Joined = alone && len(c.Was) > 0 && m.Living() > 1
	c.Isolated = m.noteAbsences(now)
	return c
}

// Self is this broker's name.
func (m *Membership) Self() string { return m.self }

// Names lists the members, sorted, also those that are not there. The list is not changed by
// the caller, and holds until the next Update.
func (m *Membership) Names() []string { return m.names }

// Get returns a member; one that is not known has no name.
func (m *Membership) Get(name string) Member { return m.members[name] }

// Knows reports whether SWIM has a member of that name, whatever its status.
func (m *Membership) Knows(name string) bool {
	_, ok := m.members[name]
	return ok
}

// Alive reports whether a broker is there; this one always is.
func (m *Membership) Alive(name string) bool {
	return name == m.self || m.members[name].Status == Alive
}

// Living counts the brokers that are alive, this one included.
func (m *Membership) Living() int {
	n := 1
	for _, name := range m.names {
		if m.Alive(name) {
			n++
		}
	}
	return n
}

// Present reports whether the process of a broker that has this actor, or had it, is alive: what that one runs goes on. An
// earlier process may have had one that lies between the first and the present one of this: its disk was restored, and its
// clock was behind.
func (m *Membership) Present(a clock.Actor) bool {
	if slices.Contains(m.starts, a) {
		return true
	}
	x, said := m.members[a.Broker()], m.metadata[a.Broker()]
	return x.Status == Alive && (x.Runs(a) || said.Actor == x.Actor && slices.Contains(said.Between, a))
}

// GoOnAs says that this broker has begun another start in the same process (rule K3).
func (m *Membership) GoOnAs(a clock.Actor) { m.starts = append(m.starts, a) }

// Starts lists the starts of this broker's process, the first one first, which names it. The caller does not change it.
func (m *Membership) Starts() []clock.Actor { return m.starts }

// Complete reports whether no member is absent.
func (m *Membership) Complete() bool {
	for _, name := range m.counted {
		if m.members[name].Status != Alive {
			return false
		}
	}
	return true
}

// Leaves reports whether a member is about to leave, and takes nothing (rule J6).
func (m *Membership) Leaves(name string) bool {
	x, said := m.members[name], m.metadata[name]
	return x.Draining || x.Status == Leaving || said.Draining && said.Actor == x.Actor
}
