package membership

import (
	"slices"

	"github.com/urban-compute/ucp/broker/wire"
)

// Brokers of two versions of the protocol live in one cluster while it is upgraded (rule K5). To each
// member we speak the highest version that both know; what is written is for all, so that it waits
// until every member can read it. A kind of record that one of them does not know would hold back
// its clock, and with it every answer that waits for its copy.
//
// What a member speaks is learnt from its Serf tags, like its actor: they come and go with its process. Of one that this
// broker has never met, others pass on what it has said.

// Speaks is the highest version of the protocol that a broker speaks, the lowest when that is not known.
func (m *Membership) Speaks(name string) int {
	if name == m.self {
		return wire.Version
	}
	v := m.says(name)
	if v == 0 && (m.roll.Has(name) || m.unrolled[name] && !m.Knows(name)) {
		v = wire.V3 // it was admitted with that, or could have been
	}
	return min(max(v, wire.Lowest), wire.Version)
}

// says is the highest version that a member is known to speak, 0 if nothing is known.
func (m *Membership) says(name string) int {
	if v := m.members[name].Protocol; v != 0 {
		return v
	}
	said := m.metadata[name]
	return said.Highest
}

// Behind lists the members that are known to speak no version as high as this one: of others that are to be met, or
// are away, nothing can be told yet.
func (m *Membership) Behind(version int) (names []string) {
	return slices.DeleteFunc(m.Outdated(version), func(name string) bool { return m.says(name) == 0 && m.roll.Has(name) })
}

// Expects reports whether this broker was told of others and has met none yet: it does not know who else counts.
func (m *Membership) Expects() bool { return m.cfg.Expecting && !m.met }

// Single reports whether this broker is a cluster of its own: nobody else counts, it was told of nobody else, and it
// had met nobody before its start, unless they have all gone for good.
func (m *Membership) Single() bool {
	return len(m.counted) == 0 && !m.Expects() && (m.met || m.cfg.Protocol == 0)
}

// Protocol is the highest version that every member speaks, the absent ones included: nothing may be
// written that a broker of a lower one can't read.
func (m *Membership) Protocol() int { return m.protocol }

// Outdated lists the members that do not speak a version, by name: they must be upgraded, or leave, before
// anything is written that needs it. There are none while this broker has yet to meet one.
func (m *Membership) Outdated(version int) (names []string) {
	for _, name := range m.counted {
		if m.Speaks(name) < version {
			names = append(names, name)
		}
	}
	return names
}
