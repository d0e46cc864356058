package emergency

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// ID identifies an emergency: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, except the name of a level.
type ID string

// Limits of an emergency.
const (
	DefaultTTL = 24 * time.Hour      // if the declaration has none
	MaxTTL     = 30 * 24 * time.Hour // a longer emergency must be declared again
	Retention  = 30 * 24 * time.Hour // how long an emergency is remembered that is over, in uptime of each broker (rules E3, T1)

	maxType       = 32      // bytes
	maxMessage    = 256     // bytes
	maxConditions = 8       // conditions of a scope or a selection
	maxCreated    = 8       // creations that a record remembers
	MaxHint       = 8 << 10 // bytes of a hint that is sent outside of the ledger

	// MaxRecord is how many bytes a record of the ledger may have, which names all its writers, and grows by merging (rule L11).
	MaxRecord = 328<<10 + canon.MaxUnknown
)

// Terms are what was declared, except for the times.
type Terms struct {
	Type    string   `codec:"type"`              // such as flood or earthquake; jobs can name it instead of the ID
	Level   int      `codec:"level"`             // 1 low, 2 medium, 3 high, 4 critical
	Scope   []string `codec:"scope,omitempty"`   // conditions that a broker's labels must all meet; none means all brokers
	Select  []string `codec:"select,omitempty"`  // conditions that a job's labels must all meet; none selects no job by its labels
	Message string   `codec:"message,omitempty"` // for people
}

// Version orders the terms of one emergency: first by number, so that a clock which is
// an hour ahead does not win for an hour (rule I3), then by time and writer.
type Version struct {
	Seq uint64       `codec:"seq"` // grows with every change that has seen the previous one; 0 means that no terms are known
	At  clock.Hybrid `codec:"at"`
	By  clock.Actor  `codec:"by"` // "" for an event of a stock Serf command line
}

func (v Version) compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Seq, w.Seq), cmp.Compare(v.At, w.At), cmp.Compare(v.By, w.By))
}

// Next returns the version of the terms that a writer that has seen v writes. At the largest Seq, which an
// event with an invented number may have reached, only the time decides.
func (v Version) Next(at clock.Hybrid, by clock.Actor) Version {
	return Version{Seq: min(v.Seq+1, maxSeq), At: at, By: by}
}

// Mark says when, and by which writer, the emergency was cleared.
type Mark struct {
	At clock.Hybrid `codec:"at"`
	By clock.Actor  `codec:"by"`
}

func (m Mark) compare(n Mark) int { return cmp.Or(cmp.Compare(m.At, n.At), cmp.Compare(m.By, n.By)) }

// Record is everything that is known about one emergency. Records are immutable: to change one, copy it. A
// record without Created and Dots is a hint: it comes from an event or from another broker, and the ledger's
// record has not arrived yet.
type Record struct {
	ID       ID             `codec:"id"`
	Terms    Terms          `codec:"terms"`
	Version  Version        `codec:"version"`            // of the terms
	Declared clock.Hybrid   `codec:"declared,omitempty"` // the earliest declaration; 0 if only the clear is known
	TTL      clock.Duration `codec:"ttl,omitempty"`      // counts from Declared; the longest that was declared
	Cleared  []Mark         `codec:"cleared,omitempty"`  // the earliest clear, or none
	Life     uint64         `codec:"life,omitempty"`     // which emergency of this ID it is (rule E6); 0 of an earlier version, and of a stock command line
	Created  []clock.Dot    `codec:"created"`            // creations: the smallest ones by actor and counter
	Dots     clock.Vector   `codec:"dots"`               // the latest dot of each writer

	Unknown canon.Unknown `codec:"-"` // fields of a newer broker, kept (rule L2)
}

// Merge returns the join of two copies (rules E3, E6, L2), and whether it holds anything that
// a does not (rule L6). Of two lives the later one stays, whole: whoever began it had forgotten the other one.
// Within one life, field by field:
//
//  1. Terms: those of the highest Version. Of equal versions the terms with the greater encoding:
//     events of stock command lines have no version of their own and may have the same ID.
//  2. Declared: the minimum of those that are known. TTL: the maximum. Hence
//     until = declared + max(ttl).
//  3. Cleared: the earliest mark; once there, it stays.
//  4. Created: union, the maxCreated smallest. Dots: the vector join. Unknown: union.
//
// The caller makes sure that the IDs are equal.
func Merge(a, b *Record) (*Record, bool) {
	switch {
	case b.Life > a.Life:
		return b, true
	case b.Life < a.Life:
		return a, false
	}
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

// newerTerms reports whether b's terms replace a's. It is a total order.
func newerTerms(b, a *Record) bool {
	if c := b.Version.compare(a.Version); c != 0 {
		return c > 0
	}
	return bytes.Compare(canon.Encode(b.Terms), canon.Encode(a.Terms)) > 0
}

// Supersedes reports whether the terms of r stand when it is joined with another record of the same life.
func (r *Record) Supersedes(o *Record) bool { return newerTerms(r, o) }

// Again is the record with another update of this dot, and as created again, if others would take it for one that they
// have forgotten (rules L7, K3).
func (r *Record) Again(dot clock.Dot, created bool) *Record {
	c := *r
	c.Dots = r.Dots.Clone()
	c.Dots.Set(dot)
	if created {
		c.Created, _ = canon.Smallest(r.Created, []clock.Dot{dot}, clock.Dot.Compare, maxCreated)
	}
	return &c
}

// Key implements ledger.Record.
func (r *Record) Key() string { return string(r.ID) }

// Writers implements ledger.Record.
func (r *Record) Writers() clock.Vector { return r.Dots }

// Finished implements ledger.Record. A cleared emergency is finished. One that has expired is not, because it
// can be declared again for longer.
func (r *Record) Finished() bool { return len(r.Cleared) > 0 }

// Creations implements ledger.Record. A hint has no creations, because it is not a record of the ledger.
func (r *Record) Creations() iter.Seq[clock.Dot] { return slices.Values(r.Created) }

// Blobs implements ledger.Record. An emergency needs no blobs.
func (r *Record) Blobs() iter.Seq[string] { return slices.Values([]string(nil)) }

// Hint returns the record without its creations and dots, as it is sent outside of the ledger.
func (r *Record) Hint() *Record {
	h := *r
	h.Created, h.Dots = nil, nil
	return &h
}

// IsHint reports whether the record is only a hint and not a record of the ledger.
func (r *Record) IsHint() bool { return len(r.Created) == 0 }

// Until returns when the emergency expires, or 0 if only its clear is known.
func (r *Record) Until() clock.Time {
	if r.Declared == 0 {
		return 0
	}
	return clock.TimeOf(r.Declared) + clock.Time(time.Duration(r.TTL).Milliseconds())
}

// Active reports whether the emergency is in force now, within its scope.
func (r *Record) Active(now clock.Time) bool { return !r.Finished() && now < r.Until() }

// Ended returns when the emergency was cleared or expired, as far as is known now; 0 while it is active.
func (r *Record) Ended(now clock.Time) clock.Time {
	switch {
	case r.Finished():
		return clock.TimeOf(r.Cleared[0].At)
	case now >= r.Until():
		return r.Until()
	}
	return 0
}

// Covers reports whether the record holds everything that a hint of the same emergency says, except for the
// exact times: brokers that receive the same event of a stock command line date it by their own clocks (rule
// E2).
func (r *Record) Covers(hint *Record) bool {
	if hint.Life != r.Life {
		return hint.Life < r.Life
	}
	return hint.Version.compare(r.Version) <= 0 && hint.TTL <= r.TTL && (!hint.Finished() || r.Finished())
}

// Over reports whether the emergency has ended and a replay of its events would find it ended, too: from then on
// Retention counts (rule E3). One that was cleared early is not over before its terms are.
func (r *Record) Over(now clock.Time) bool { return r.Ended(now) != 0 && now >= r.Until() }

// Says reports whether both say the same of the emergency, whoever has written it.
func (r *Record) Says(o *Record) bool { return bytes.Equal(r.Hint().Encode(), o.Hint().Encode()) }

// Name tells this emergency from another life of its ID: settings name by it what they were made in view of (rule E5).
func (r *Record) Name() string {
	if r.Life == 0 {
		return string(r.ID)
	}
	return fmt.Sprintf("%s~%d", r.ID, r.Life)
}

// LifeAt is the life in which an emergency begins that is declared at this time, where each is remembered for so long, by who has
// forgotten those up to a life (rule E6).
func LifeAt(now clock.Time, remembered time.Duration, forgotten uint64) uint64 {
	period := uint64(max(now, 0)) / uint64(max(remembered.Milliseconds(), 1))
	return min(max(period, forgotten)+1, maxLife)
}

// Stamps calls visit with every stamp in the record and its writer.
func (r *Record) Stamps(visit func(at clock.Hybrid, by clock.Actor)) {
	visit(r.Version.At, r.Version.By)
	for _, m := range r.Cleared {
		visit(m.At, m.By)
	}
}

// leastOfAnID is how many bytes of an ID name it for what is final.
const leastOfAnID = 4

// IsMeant reports whether a text names the emergency for what is final: its ID, enough of the beginning of that, or its type. By one
// letter another may be meant.
func (r *Record) IsMeant(text string) bool {
	return text == string(r.ID) || text == r.Terms.Type || len(text) >= leastOfAnID && strings.HasPrefix(string(r.ID), text)
}
