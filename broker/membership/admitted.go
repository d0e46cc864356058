package membership

import (
	"maps"
	"slices"

	"github.com/urban-compute/ucp/roll"
)

// admitted says of which names it is believed that they are in the roll, in a city: those that an authority has let in as a broker's, as
// far as this broker has heard, and those that were in the roll before there was a city. Any member can write an opening of any name; one
// that was let in by nobody is as if it had not come, until that is heard (rule M6).
type admitted struct {
	by      map[string]bool         // an authority
	adopted map[string]bool         // nobody: it was in the roll before
	aside   map[string]*roll.Record // openings that do not count
}

func newAdmitted() admitted {
	return admitted{map[string]bool{}, map[string]bool{}, map[string]*roll.Record{}}
}

// Stranger reports whether nobody is known to have let a broker of this name into the city; outside of a city nobody is one.
func (m *Membership) Stranger(name string) bool {
	a := &m.admitted
	return m.cfg.Admitted && name != m.self && !a.by[name] && !a.adopted[name]
}

// Outside reports whether a stranger counts for nothing. While nobody else is in the roll, those count that SWIM has: the admissions of
// all may be yet to come.
func (m *Membership) Outside(name string) bool { return m.others > 0 && m.Stranger(name) }

// heeds reports whether the record of a name is believed; else it is put aside.
func (m *Membership) heeds(r *roll.Record) bool {
	a := &m.admitted
	if r.Open() && m.Stranger(r.Name) {
		a.aside[r.Name] = r
		return false
	}
	delete(a.aside, r.Name)
	if !r.Open() {
		delete(a.adopted, r.Name) // what opens it again is of the city
	}
	return true
}

// Admit takes in that an authority has let in a broker of this name. What the roll says of it counts from now on, whatever becomes of the
// authority: the broker may hold what others do not.
func (m *Membership) Admit(name string) { m.believe(m.admitted.by, name) }

// Adopt takes in that a name was in the roll before the city began, or before this rule did.
func (m *Membership) Adopt(name string) { m.believe(m.admitted.adopted, name) }

func (m *Membership) believe(why map[string]bool, name string) {
	why[name] = true
	if r := m.admitted.aside[name]; r != nil {
		delete(m.admitted.aside, name)
		m.roll.Note(r)
	}
	m.count()
	m.ring = m.successors()
}

// Losses counts the names that operators have removed and that are not back, without those that nobody had let in.
func (m *Membership) Losses() (n int) {
	for _, name := range m.roll.Known() {
		if m.roll.Get(name).Closed == roll.Removed && !m.Stranger(name) {
			n++
		}
	}
	return n
}

// Adopted lists the names in the roll that nobody is known to have let in, and that count all the same, sorted.
func (m *Membership) Adopted() []string {
	out := slices.Sorted(maps.Keys(m.admitted.adopted))
	return slices.DeleteFunc(out, func(name string) bool { return m.admitted.by[name] })
}

// Uninvited lists the names that somebody has put into the roll and nobody is known to have let in, sorted: they do not count.
func (m *Membership) Uninvited() []string { return slices.Sorted(maps.Keys(m.admitted.aside)) }

// Opening is the record of a name that does not count, since nobody is known to have let it in; nil where there is none.
func (m *Membership) Opening(name string) *roll.Record { return m.admitted.aside[name] }
