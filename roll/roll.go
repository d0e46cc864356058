// Package roll says who takes part in a cluster: a record for each broker's name that was ever a member. Whether
// a broker can be reached now is another question, which SWIM answers (package broker/membership); it never says
// who counts.
//
//   - record.go: one name's record, and how two states of it merge
//   - roll.go: all records together
//
// The package is pure. The rules M1 and M2 are in docs/protocol.md.
package roll

import (
	"maps"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// Roll is what the member records that a broker holds say together. The zero value is empty. One goroutine owns a
// Roll.
type Roll struct {
	records map[string]*Record
	known   []string // names that have a record, sorted
	open    []string // those in the roll, sorted
	clock   clock.Vector
	founder *Record // the one with which its writer admitted itself, last of those with which the roll began; nil if unknown
}

// Note takes in a name's record in place of the one before.
func (r *Roll) Note(rec *Record) {
	if r.records == nil {
		r.records = map[string]*Record{}
	}
	r.records[rec.Name] = rec
	r.known, r.open, r.clock = slices.Sorted(maps.Keys(r.records)), r.open[:0], nil
	r.founder = nil
	for _, name := range r.known {
		rec := r.records[name]
		r.clock.Set(rec.By)
		if rec.Open() {
			r.open = append(r.open, name)
		}
		if rec.Open() && rec.Epoch == 1 && rec.By.Actor.Broker() == name {
			r.founder = rec
		}
	}
}

// Get returns a name's record, nil when there is none.
func (r *Roll) Get(name string) *Record { return r.records[name] }

// Has reports whether a name is in the roll.
func (r *Roll) Has(name string) bool {
	rec := r.records[name]
	return rec != nil && rec.Open()
}

// Founded reports whether a name has been in the roll since that began: nobody was before, and it has not been out of it. Of a roll
// whose first writer is not in it as it was, nothing is known of that.
func (r *Roll) Founded(name string) bool {
	rec := r.records[name]
	return rec != nil && r.founder != nil && rec.Open() && rec.Epoch == 1 && rec.By.Actor == r.founder.By.Actor && rec.By.Counter <= r.founder.By.Counter
}

// Begun lists those that have begun the roll without knowing of each other, sorted: several where clusters have met that
// were strangers until then (rule M3). At is when the last of them was let in by others, as these have dated it.
func (r *Roll) Begun() (names []string, at clock.Hybrid) {
	for _, name := range r.known {
		if r.begins(name) && !slices.ContainsFunc(names, func(other string) bool { return r.founds(other, name) || r.founds(name, other) }) {
			names = append(names, name)
			at = max(at, r.records[name].At)
		}
	}
	return names, at
}

// begins reports whether a name has made its own record, which only the first writer of a roll does.
func (r *Roll) begins(name string) bool {
	return slices.ContainsFunc(r.records[name].Created, func(d clock.Dot) bool { return d.Actor.Broker() == name })
}

// founds reports whether a broker that has begun a roll has let another in as it did so.
func (r *Roll) founds(first, name string) bool {
	return slices.ContainsFunc(r.records[first].Created, func(own clock.Dot) bool {
		return own.Actor.Broker() == first && slices.ContainsFunc(r.records[name].Created, func(d clock.Dot) bool {
			return d.Actor == own.Actor && d.Counter <= own.Counter
		})
	})
}

// Closed reports whether a name was in the roll, and is not any more.
func (r *Roll) Closed(name string) bool {
	rec := r.records[name]
	return rec != nil && !rec.Open()
}

// Empty reports whether there is no record at all: the cluster has no roll yet.
func (r *Roll) Empty() bool { return len(r.records) == 0 }

// Names lists the names in the roll, sorted. The list is not changed by the caller, and holds until the next Note.
func (r *Roll) Names() []string { return r.open }

// Known lists the names that have a record, sorted. The list is not changed by the caller, and holds until the next
// Note.
func (r *Roll) Known() []string { return r.known }

// Clock covers the updates that say what the records say now: whose clock covers it knows as much of the roll.
// The caller does not change it.
func (r *Roll) Clock() clock.Vector { return r.clock }

// Closes counts how often names have left the roll, as far as the records tell. Who knows of more can't know of less
// later (rule F2).
func (r *Roll) Closes() (n uint64) {
	for _, rec := range r.records {
		if n += rec.Epoch - 1; !rec.Open() {
			n++
		}
	}
	return n
}
