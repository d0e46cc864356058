package membership

import (
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// Learn takes in what a broker says of itself, if it is newer than what is known. It reports
// whether that may change where jobs can run: somebody new, or restarted, may be capable.
func (m *Membership) Learn(said wire.Metadata) (matters bool) {
	old, known := m.metadata[said.Name]
	if said.Name == m.self || known && !m.replaces(said, old) || !known && len(m.metadata) >= wire.MaxMetadata {
		return false
	}
	m.metadata[said.Name] = said
	return !known || old.Actor != said.Actor || old.Draining != said.Draining || old.Full && !said.Full
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
