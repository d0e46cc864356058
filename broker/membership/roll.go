package membership

import (
	"slices"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/roll"
)

// Enroll takes in the record of a name (rule M1), in a city as far as that may be believed (rule M6).
func (m *Membership) Enroll(r *roll.Record) {
	if m.heeds(r) {
		m.roll.Note(r)
		m.count()
	}
}

// Roll is who takes part, whatever SWIM says. The caller does not change it.
func (m *Membership) Roll() *roll.Roll { return &m.roll }

// Counted lists the members whose knowledge counts where every member must know something (rules F1 to F3), without
// this broker, sorted: all that are in the roll, whether SWIM has them or not, and those without a record that SWIM
// has and that have not left. Whom SWIM has shown while this broker held no roll counts until it holds one, also when it
// has left: this disk may be of a time before the roll, and not know what the others have seen end (rule M3). The list is
// not changed by the caller, and holds until the next Update or Enroll.
func (m *Membership) Counted() []string { return m.counted }

// count derives from the roll and the roster who counts, and what all of these speak.
func (m *Membership) count() {
	m.counted = m.counted[:0]
	for _, name := range m.roll.Names() {
		if name != m.self {
			m.counted = append(m.counted, name)
		}
	}
	m.others = len(m.counted)
	for _, name := range m.names {
		if m.roll.Get(name) == nil && m.members[name].Status != Left && !m.Outside(name) {
			m.counted = append(m.counted, name)
		}
	}
	if m.roll.Empty() {
		for name := range m.unrolled {
			if !slices.Contains(m.counted, name) {
				m.counted = append(m.counted, name)
			}
		}
	}
	slices.Sort(m.counted)
	m.protocol = wire.Version
	if !m.met && m.cfg.Protocol > 0 {
		m.protocol = min(m.protocol, m.cfg.Protocol)
	}
	for _, name := range m.counted {
		m.protocol = min(m.protocol, m.Speaks(name))
	}
	if m.Expects() {
		m.protocol = wire.Lowest // the others may be of any version
	}
}

// TakesPart reports whether records are exchanged with a broker. With one that has no record they are not, once
// there is a roll: what it knows could pass on to somebody who never hears that it is a member, and holds for firm
// what this one knows better (rule M1); as long as there is no roll, not with one that SWIM does not have, since it does not
// count here. Nor is anything taken from one whose record is closed (rule M2).
func (m *Membership) TakesPart(name string) bool {
	if rec := m.roll.Get(name); rec != nil {
		return rec.Open()
	}
	_, counts := slices.BinarySearch(m.counted, name)
	return m.roll.Empty() && counts || m.protocol < wire.V3
}

// Unenrolled reports whether a broker has no record although there is a roll: somebody is about to admit it, and
// until then it is told no records.
func (m *Membership) Unenrolled(name string) bool {
	return m.roll.Get(name) == nil && !m.TakesPart(name)
}
