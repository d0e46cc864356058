package clock

import (
	"fmt"
	"slices"
)

// Lineage knows what each start of a broker held of its own name when it began (rules K1, K2): its row, the tips of
// that name that it held, its parents. So the entry of a start stands for all entries that its row lists, and for what
// those stand for:
//
//	a~1:7    a~2:4 {a~1:7}    a~3:2 {a~2:4}    the clock {a~3:2} means {a~1:7 a~2:4 a~3:2}
//
// A clock lists its tips only: the entries that no other one implies. It has about one a broker, however often that
// one has started. A parent says "I held this much", never "it ended there": a disk that was restored from a copy is
// a second tip beside the first, until a later start has held both.
//
// With the rows known, tips are the vectors of what they stand for, with another spelling: each operation here gives the
// tips of what the same operation of [Vector] gives for the whole (laws in lineage_test.go), and two clocks stand
// for the same exactly when their tips are equal. Where a start's row is not known, its entry implies nothing: a
// clock then covers less than it might, never more.
//
// Clocks that list the same starts are compared as fast as vectors; only where one has a start that the other
// has not, the rows are looked at, those of that name. The zero Lineage is ready for use; one goroutine owns it.
type Lineage struct {
	rows    map[Actor]Tips
	listed  map[Actor]struct{} // as a parent, by some row: nothing implies any other start
	implied map[Actor]Vector   // by start, all that it implies; of some that were asked for
	kept    int                // entries of implied
}

// keepImplied bounds how many entries are kept of what starts imply: 24 bytes each. It is worked out again when it is
// asked for again.
const keepImplied = 1 << 20

// Add notes the row of a start: the tips of its own name that it held when it began. It refuses a row that is
// not one ([CheckRow]), or another one than the start has said before: a row never changes.
func (l *Lineage) Add(a Actor, parents Tips) error {
	if err := CheckRow(a, parents); err != nil {
		return err
	}
	if old, ok := l.rows[a]; ok {
		if !slices.Equal(old, parents) {
			return fmt.Errorf("row of %.80q: %v, it was %v, and a row never changes", a, parents, old)
		}
		return nil
	}
	if l.rows == nil {
		l.rows, l.listed, l.implied = map[Actor]Tips{}, map[Actor]struct{}{}, map[Actor]Vector{}
	}
	l.rows[a] = parents.Clone()
	for _, p := range parents {
		l.listed[p.Actor] = struct{}{}
	}
	for s, v := range l.implied { // what waited for this row implies more now
		if s == a || v.Get(a) > 0 {
			l.forget(s)
		}
	}
	return nil
}

// CheckRow returns an error unless these can be the parents of a start: of an actor without a [Start], with a parent of
// another name or one that is not before it, nothing is a row.
func CheckRow(a Actor, parents Tips) error {
	start, ok := a.Start()
	if !ok {
		return fmt.Errorf("row of %.80q: it has no start", a)
	}
	if err := parents.Valid(); err != nil {
		return fmt.Errorf("row of %.80q: %w", a, err)
	}
	for _, p := range parents {
		if p.Actor.Broker() != a.Broker() {
			return fmt.Errorf("row of %.80q: the parent %.80q is another broker's", a, p.Actor)
		}
		if s, ok := p.Actor.Start(); ok && s >= start {
			return fmt.Errorf("row of %.80q: the parent %.80q is not before it", a, p.Actor)
		}
	}
	return nil
}

// Row returns the parents of a start; ok is false when its row is not known. The caller does not change them.
func (l *Lineage) Row(a Actor) (parents Tips, ok bool) {
	parents, ok = l.rows[a]
	return parents, ok
}

// Starts lists the starts of a broker whose rows are known, the earliest first.
func (l *Lineage) Starts(name string) (out []Actor) {
	for a := range l.rows {
		if a.Broker() == name {
			out = append(out, a)
		}
	}
	slices.Sort(out) // as text, starts sort as they do as numbers
	return out
}

// Drop forgets the rows of the earliest starts of a broker. Later ones stand for what their own rows list, and no longer for
// what these have listed.
func (l *Lineage) Drop(earliest []Actor) {
	names := map[string]bool{}
	for _, a := range earliest {
		names[a.Broker()] = true
		delete(l.rows, a)
	}
	clear(l.listed)
	for _, parents := range l.rows {
		for _, p := range parents {
			l.listed[p.Actor] = struct{}{}
		}
	}
	for s := range l.implied {
		if names[s.Broker()] {
			l.forget(s)
		}
	}
}

// forget drops what was worked out for a start.
func (l *Lineage) forget(a Actor) {
	l.kept -= len(l.implied[a])
	delete(l.implied, a)
}

// Implied lists all that an entry of this actor stands for beside itself. The caller does not change it.
func (l *Lineage) Implied(a Actor) Vector {
	if v, ok := l.implied[a]; ok {
		return v
	}
	parents := l.rows[a]
	if len(parents) == 0 {
		return nil
	}
	out := l.workOut(parents)
	// What a start before this one implies is not likely to be asked for again.
	for s, v := range l.implied {
		if out.Get(s) > 0 || l.kept+len(out) > keepImplied {
			l.kept -= len(v)
			delete(l.implied, s)
		}
	}
	l.implied[a] = out
	l.kept += len(out)
	return out
}

// workOut lists what these entries and all that they imply are.
func (l *Lineage) workOut(parents Tips) Vector {
	if len(parents) == 1 { // one start after the other
		if known, ok := l.implied[parents[0].Actor]; ok {
			out := make(Vector, len(known), len(known)+1)
			copy(out, known)
			out.Set(parents[0])
			return out
		}
	}
	// A chain of thousands of starts is walked once, not once for each of its links.
	all := map[Actor]uint64{}
	for next := []Tips{parents}; len(next) > 0; {
		v := next[len(next)-1]
		next = next[:len(next)-1]
		for _, d := range v {
			had := all[d.Actor]
			all[d.Actor] = max(had, d.Counter)
			if known, ok := l.implied[d.Actor]; ok {
				for _, e := range known {
					all[e.Actor] = max(all[e.Actor], e.Counter)
				}
			} else if row := l.rows[d.Actor]; len(row) > 0 && had == 0 {
				next = append(next, row)
			}
		}
	}
	out := make(Vector, 0, len(all))
	for a, n := range all {
		out = append(out, Dot{a, n})
	}
	slices.SortFunc(out, Dot.Compare)
	return out
}

// Get is the counter up to which c knows the updates of an actor, by its own entry or one that implies it.
func (l *Lineage) Get(c Tips, a Actor) uint64 {
	n := Vector(c).Get(a)
	if _, ok := l.listed[a]; !ok {
		return n // also of starts that somebody has invented, however many
	}
	for _, d := range c.Of(a.Broker()) {
		if d.Actor != a && len(l.rows[d.Actor]) > 0 {
			n = max(n, l.Implied(d.Actor).Get(a))
		}
	}
	return n
}

// Has reports whether c knows an event.
func (l *Lineage) Has(c Tips, d Dot) bool {
	return Vector(c).Has(d) || l.Get(c, d.Actor) >= d.Counter
}

// HasAll reports whether c knows all of these events.
func (l *Lineage) HasAll(c Tips, dots Vector) bool {
	for _, d := range dots {
		if !l.Has(c, d) {
			return false
		}
	}
	return true
}

// Covers reports whether c knows every event that other knows.
func (l *Lineage) Covers(c, other Tips) bool {
	// What an entry of other implies c knows, too, when it knows the entry.
	return Vector(c).Covers(Vector(other)) || l.HasAll(c, Vector(other))
}

// Tips leaves out of a vector what another of its entries implies.
func (l *Lineage) Tips(v Vector) Tips {
	var tips []Actor // of v, those of starts that imply something; only a later start implies one
	for i := len(v) - 1; i >= 0; i-- {
		if len(l.rows[v[i].Actor]) > 0 && !l.impliedBy(tips, v[i]) {
			tips = append(tips, v[i].Actor)
		}
	}
	if len(tips) == 0 {
		return Tips(v.Clone())
	}
	out := make(Tips, 0, len(v))
	for _, d := range v {
		if !l.impliedBy(tips, d) {
			out = append(out, d)
		}
	}
	return out
}

// impliedBy reports whether one of these starts implies an event.
func (l *Lineage) impliedBy(starts []Actor, d Dot) bool {
	return slices.ContainsFunc(starts, func(s Actor) bool {
		return s != d.Actor && s.Broker() == d.Actor.Broker() && l.Implied(s).Has(d)
	})
}

// Merge is what c and other know together: the least upper bound.
func (l *Lineage) Merge(c, other Tips) Tips {
	out := Vector(c.Clone())
	if !out.Merge(Vector(other)) || len(out) == len(c) {
		return Tips(out) // no other starts than before
	}
	return l.Tips(out)
}

// Meet is what c and other both know: the greatest lower bound.
func (l *Lineage) Meet(c, other Tips) Tips {
	var out Vector
	for _, d := range c {
		if n := min(d.Counter, l.Get(other, d.Actor)); n > 0 {
			out.Set(Dot{d.Actor, n})
		}
		if Vector(other).Get(d.Actor) > 0 {
			continue // and so both know what it implies
		}
		for _, e := range l.Implied(d.Actor) {
			if n := min(e.Counter, l.Get(other, e.Actor)); n > 0 {
				out.Set(Dot{e.Actor, n})
			}
		}
	}
	return l.Tips(out)
}

// Without is the greatest part of a clock that does not know an event, nor any later one of its actor.
func (l *Lineage) Without(c Tips, d Dot) Tips {
	if !l.Has(c, d) {
		return c
	}
	// Starts that imply the event go as a whole. A parent sorts before those that list it.
	gone := map[Actor]bool{}
	v := slices.DeleteFunc(l.Expand(c), func(e Dot) bool {
		gone[e.Actor] = slices.ContainsFunc(l.rows[e.Actor], func(p Dot) bool {
			return gone[p.Actor] || p.Actor == d.Actor && p.Counter >= d.Counter
		})
		return gone[e.Actor]
	})
	v.Cut(d)
	return l.Tips(v)
}

// Beyond counts the events that c knows and other does not.
func (l *Lineage) Beyond(c, other Tips) (n uint64) {
	var all Vector // and what starts imply of which other has not heard, each once
	for d := range Vector(c).Beyond(Vector(other)) {
		all.Merge(Vector{d})
		if l.Get(other, d.Actor) == 0 {
			all.Merge(l.Implied(d.Actor))
		}
	}
	for _, d := range all {
		n += d.Counter - min(l.Get(other, d.Actor), d.Counter)
	}
	return n
}

// Expand lists all that a clock stands for.
func (l *Lineage) Expand(c Tips) Vector {
	out := Vector(c.Clone())
	for _, d := range c {
		out.Merge(l.Implied(d.Actor))
	}
	return out
}
