package emergency

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// ID names an emergency: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, and no level's name.
type ID string

// Bounds of an emergency.
const (
	DefaultTTL = 24 * time.Hour      // of one that is declared without
	MaxTTL     = 30 * 24 * time.Hour // a longer one must be declared again
	Memory     = 30 * 24 * time.Hour // for so long after its end its ID stays known (rule E3)

	maxType     = 32       // bytes
	maxMessage  = 256      // bytes
	maxSelector = 8        // conditions of a scope or a selection
	maxCreated  = 8        // creations that a record remembers
	maxRecord   = 64 << 10 // of the ledger: it names all who ever wrote it
	MaxHint     = 8 << 10  // of what comes beside the ledger
)

// Terms are what somebody has declared.
type Terms struct {
	Type    string   `codec:"type"`              // flood, earthquake; what jobs can name instead of the ID
	Level   int      `codec:"level"`             // 1 low, 2 medium, 3 high, 4 critical
	Scope   []string `codec:"scope,omitempty"`   // conditions on a broker's labels, all of which must hold; none: everywhere
	Select  []string `codec:"select,omitempty"`  // the same on a job's labels; none: only jobs that name the ID or the type
	Message string   `codec:"message,omitempty"` // for people
}

// Version orders the terms of one emergency: first by number, so that a clock which is
// an hour ahead does not win for an hour (rule I3), then by time and writer.
type Version struct {
	Seq uint64       `codec:"seq"` // grows with every change that saw the one before; 0: no terms are known
	At  clock.Hybrid `codec:"at"`
	By  clock.Actor  `codec:"by"` // "" for an event of a stock Serf command line
}

func (v Version) compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Seq, w.Seq), cmp.Compare(v.At, w.At), cmp.Compare(v.By, w.By))
}

// Next is the version of terms that somebody writes who has seen v. At the bound, where an
// event with a number that was made up may have put it, the time decides.
func (v Version) Next(at clock.Hybrid, by clock.Actor) Version {
	return Version{Seq: min(v.Seq+1, maxSeq), At: at, By: by}
}

// Mark says that the emergency was cleared: when, and by whom.
type Mark struct {
	At clock.Hybrid `codec:"at"`
	By clock.Actor  `codec:"by"`
}

func (m Mark) compare(n Mark) int { return cmp.Or(cmp.Compare(m.At, n.At), cmp.Compare(m.By, n.By)) }

// Record is all that is known of one emergency. Records are immutable: who changes one
// makes a new one. A record without Created and Dots is a hint: what an event said, or
// another broker, before the ledger's record came.
type Record struct {
	ID       ID             `codec:"id"`
	Terms    Terms          `codec:"terms"`
	Version  Version        `codec:"version"`            // of the terms
	Declared clock.Hybrid   `codec:"declared,omitempty"` // first; 0 when only the clear is known
	TTL      clock.Duration `codec:"ttl,omitempty"`      // from then on, the longest that was asked for
	Cleared  []Mark         `codec:"cleared,omitempty"`  // the earliest, or none
	Created  []clock.Dot    `codec:"created"`            // the smallest by actor and counter
	Dots     clock.Vector   `codec:"dots"`               // its writers' latest

	Unknown canon.Unknown `codec:"-"` // fields of a newer broker, kept (rule L2)
}

// Merge joins two copies (rules E3, L2), and says whether the result holds anything that
// a does not (rule L6). Field by field:
//
//  1. Terms: those of the highest Version. Of one version the greater encoding: events of
//     stock command lines have no version of their own, and may name one ID.
//  2. Declared: the minimum of those that are known. TTL: the maximum. Hence
//     until = declared + max(ttl).
//  3. Cleared: the earliest mark; once there, it stays.
//  4. Created: union, the maxCreated smallest. Dots: the vector join. Unknown: union.
//
// IDs are equal by construction.
func Merge(a, b *Record) (*Record, bool) {
	m, changed := *a, false
	if newerTerms(b, a) {
		m.Terms, m.Version, changed = b.Terms, b.Version, true
	}
	if b.Declared != 0 && (a.Declared == 0 || b.Declared < a.Declared) {
		m.Declared, changed = b.Declared, true
	}
	if b.TTL > a.TTL {
		m.TTL, changed = b.TTL, true
	}
	var more [3]bool
	m.Cleared, more[0] = canon.Smallest(a.Cleared, b.Cleared, Mark.compare, 1)
	m.Created, more[1] = canon.Smallest(a.Created, b.Created, clock.Dot.Compare, maxCreated)
	m.Unknown, more[2] = a.Unknown.Merge(b.Unknown)
	if !a.Dots.Covers(b.Dots) {
		m.Dots = a.Dots.Clone()
		m.Dots.Merge(b.Dots)
		changed = true
	}
	if !changed && more == [3]bool{} {
		return a, false
	}
	return &m, true
}

// newerTerms reports whether b's terms take the place of a's. It is a total order.
func newerTerms(b, a *Record) bool {
	if c := b.Version.compare(a.Version); c != 0 {
		return c > 0
	}
	return bytes.Compare(canon.Encode(b.Terms), canon.Encode(a.Terms)) > 0
}

// Key implements ledger.Record.
func (r *Record) Key() string { return string(r.ID) }

// Writers implements ledger.Record.
func (r *Record) Writers() clock.Vector { return r.Dots }

// Finished implements ledger.Record: a cleared emergency changes nothing any more. One
// whose time is over is not finished, since it can be declared again for longer.
func (r *Record) Finished() bool { return len(r.Cleared) > 0 }

// Creations implements ledger.Record. A hint has none: it is not a record of the ledger yet.
func (r *Record) Creations() iter.Seq[clock.Dot] { return slices.Values(r.Created) }

// Blobs implements ledger.Record: an emergency needs none.
func (r *Record) Blobs() iter.Seq[string] { return slices.Values([]string(nil)) }

// Hint is what the record says without what it rests on, as it goes beside the ledger.
func (r *Record) Hint() *Record {
	h := *r
	h.Created, h.Dots = nil, nil
	return &h
}

// IsHint reports whether the ledger has no such record: somebody has heard of it.
func (r *Record) IsHint() bool { return len(r.Created) == 0 }

// Until is the instant at which it ends by itself; 0 when only its clear is known.
func (r *Record) Until() clock.Time {
	if r.Declared == 0 {
		return 0
	}
	return clock.TimeOf(r.Declared) + clock.Time(time.Duration(r.TTL).Milliseconds())
}

// Active reports whether it is in force now, wherever its scope says.
func (r *Record) Active(now clock.Time) bool { return !r.Finished() && now < r.Until() }

// Ended is when it was cleared or its time was over, as far as is known now; 0 while it
// is active.
func (r *Record) Ended(now clock.Time) clock.Time {
	switch {
	case r.Finished():
		return clock.TimeOf(r.Cleared[0].At)
	case now >= r.Until():
		return r.Until()
	}
	return 0
}

// Says reports whether the record says all that a hint of the same emergency does, but for
// the exact times: two who hear one event of a stock command line date it by their own
// clocks (rule E2).
func (r *Record) Says(hint *Record) bool {
	return hint.Version.compare(r.Version) <= 0 && hint.TTL <= r.TTL && (!hint.Finished() || r.Finished())
}

// Forgettable reports whether it ended so long ago that its ID need not be known any
// more (rule E3).
func (r *Record) Forgettable(now clock.Time) bool {
	end := max(r.Ended(now), r.Until()) // a replay of its events counts from its declaration
	return r.Ended(now) != 0 && now > end+clock.Time(Memory.Milliseconds())
}

// Stamps visits every stamp of the record with its writer.
func (r *Record) Stamps(visit func(at clock.Hybrid, by clock.Actor)) {
	visit(r.Version.At, r.Version.By)
	for _, m := range r.Cleared {
		visit(m.At, m.By)
	}
}
