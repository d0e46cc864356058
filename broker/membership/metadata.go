package membership

import (
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// Learn takes in what a broker says of itself, if it is newer than what is known; direct: it came in a message
// of that broker, and not by way of another. What came from a start of a broker itself, others do not replace:
// one of them could invent a version that nothing is newer than (rule X2). Learn reports whether that may change
// where jobs can run: somebody new, or restarted, may be capable, and who has withdrawn its offer starts nothing.
//
// What a start says itself before SWIM has told of it is kept until then: it may not say anything else for a minute.
func (m *Membership) Learn(said wire.Metadata, direct bool) (matters bool) {
	old, known := m.metadata[said.Name]
	if x, member := m.members[said.Name]; direct && member && x.Actor != said.Actor {
		m.early[said.Name] = said
	}
	first := direct && known && m.direct[said.Name] != said.Actor && old.Actor == said.Actor
	switch {
	case said.Name == m.self, !known && len(m.metadata) >= wire.MaxMetadata:
		return false
	case !direct && m.direct[said.Name] == said.Actor:
		return false
	case known && !first && !m.replaces(said, old):
		return false
	}
	if direct {
		m.direct[said.Name] = said.Actor
	}
	m.metadata[said.Name] = said
	if m.members[said.Name].Protocol == 0 && old.Highest != said.Highest {
		m.count() // it tells what nothing else does: which protocol an absent one speaks
	}
	return !known || old.Actor != said.Actor || old.Draining != said.Draining || old.Full && !said.Full || old.Withdrawn == "" && said.Withdrawn != ""
}

// learnEarly takes in what the present start of a member has said before SWIM told of it.
func (m *Membership) learnEarly(name string) {
	if said := m.early[name]; said.Actor == m.members[name].Actor {
		m.Learn(said, true)
	}
	delete(m.early, name)
}

// replaces reports whether metadata takes the place of older: the newer version does, but
// between two starts of a broker SWIM knows better which one lives. (A broker whose clock was
// set right would otherwise be shunned until the time that it had shown has come.)
func (m *Membership) replaces(said, old wire.Metadata) bool {
	if live := m.members[said.Name].Actor; said.Actor != old.Actor && (said.Actor == live || old.Actor == live) {
		return said.Actor == live
	}
	return said.Version > old.Version
}

// Metadata returns what a broker says of itself; it has no name when nothing is known.
func (m *Membership) Metadata(name string) wire.Metadata { return m.metadata[name] }

// NoRoom reports whether a broker says that its disk has no room for new jobs, and copies.
func (m *Membership) NoRoom(name string) bool {
	said := m.metadata[name]
	return said.NoRoom()
}

// Known lists what all members say of themselves, by name.
func (m *Membership) Known() (out []wire.Metadata) {
	for _, name := range m.names {
		if said, ok := m.metadata[name]; ok {
			out = append(out, said)
		}
	}
	return out
}

// Versions sums up the versions of all metadata: it differs when any of them has changed.
func (m *Membership) Versions() (sum clock.Hybrid) {
	for _, said := range m.metadata {
		sum += said.Version
	}
	return sum
}

// SaysItSigns reports whether an actor has said itself that it signs a head after each commit (rule H1). Nobody's word counts for another.
func (m *Membership) SaysItSigns(a clock.Actor) bool {
	said := m.metadata[a.Broker()]
	return said.Signs && said.Actor == a && m.direct[a.Broker()] == a
}
