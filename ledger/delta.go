package ledger

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// Delta is the one message of replication: what a peer whose clock is Since
// lacks, and the sender's clock (rule L4). A delta that is too large for one
// message goes as the pages of a [Transfer]; only the last page carries the
// clock (rule L5).
type Delta struct {
	From    clock.Actor // who sent it; what it can't know itself does not count on its word alone (rules X1, X4)
	Since   clock.Tips
	Entries []Entry
	Clock   clock.Tips // nil on every page but the last
}

// Entry is one record on its way.
type Entry struct {
	Ref
	Dots    clock.Vector // the record's Writers, for whoever can't read it (rule L10)
	Encoded []byte
	Record  Record // decoded; set by the receiver before Merge, nil if it does not validate. Of a page that was made here, nil of a stub
}

// Merged is what became of a delta.
type Merged struct {
	News      []Change // what changed: the only thing that is passed on (rule L6)
	Forgotten []Ref    // what this ledger has known and forgotten; the sender should, too (rule L7)
	Disputed  []Ref    // what it may have known and forgotten: it is held again (rule F3)
	Adopted   bool     // the delta's clock; otherwise the sender starts again from ours (rule L4)
	Refused   bool     // a bad record that can't even be put aside: the clock must not be adopted
	Held      []Ref    // unfinished, and created by a start whose row has gone: neither taken in nor called forgotten (rule K2)
	TooLarge  []Ref    // set aside: joined with what is held here they would be larger than others read (rule L11)
	Forged    []Ref    // records with updates of our own that we never wrote, and rows that are not true (rules X1, K1)

	void map[clock.Actor]bool // what the clock says of these is not adopted (rules X1, X4)
}

// Voided reports whether the clock of the delta was, or is to be, adopted only in part: it must not count for a
// whole transfer.
func (m *Merged) Voided() bool { return len(m.void) > 0 }

// Change is a record that a merge has changed: the only thing that is news and
// is passed on (rule L6). Old is nil for a record that was not known.
type Change struct {
	Ref
	Old, New Record
}

// lacks lists the records that somebody with this clock lacks, each once, in an
// order that depends on the ledger alone. Strays up to a version of them it has taken.
func (l *Ledger) lacks(since clock.Tips, strays uint64) []Ref {
	behind, updates := l.behind(since, strays)
	out := make([]Ref, 0, min(updates, usual))
	for _, p := range behind { // rows first: they say what the rest is about
		if _, ok := l.lineage.Row(p.actor); ok && p.had == 0 {
			out = append(out, Ref{Starts, string(p.actor)})
		}
	}
	var seen map[Ref]struct{} // of out; an actor lists each record once, so the first needs none
	rows := len(out)
	for _, p := range behind {
		t := l.index[p.actor]
		if t == nil {
			continue
		}
		before := len(out) - rows
		t.AscendRange(indexed{counter: p.had + 1}, indexed{counter: p.last + 1}, func(i indexed) bool {
			if before > 0 {
				if seen == nil {
					seen = make(map[Ref]struct{}, 2*before)
					for _, ref := range out[rows:] {
						seen[ref] = struct{}{}
					}
				}
				if _, dup := seen[i.ref]; dup {
					return true
				}
				seen[i.ref] = struct{}{}
			}
			out = append(out, i.ref)
			return true
		})
	}
	return l.sorted(out)
}

// sorted puts the records of kinds that go ahead (see [Schema.Ahead]) before all others.
func (l *Ledger) sorted(refs []Ref) []Ref {
	first := func(ref Ref) bool { return l.schemas[ref.Kind].first }
	if !slices.ContainsFunc(refs, first) {
		return refs
	}
	out := make([]Ref, 0, len(refs))
	for _, want := range []bool{true, false} {
		for _, ref := range refs {
			if first(ref) == want {
				out = append(out, ref)
			}
		}
	}
	return out
}

// part is what somebody may lack of an actor: its updates after the one that had says, up to the last one.
type part struct {
	actor     clock.Actor
	had, last uint64
}

// behind lists the actors of which somebody with this clock may lack something, sorted; and about how many updates that
// are, no fewer than records. It walks from the tips down the rows, and stops at a start of which the clock has an entry:
// that covers all that was before it. So it costs what is new, however often brokers have started.
func (l *Ledger) behind(since clock.Tips, strays uint64) (out []part, updates uint64) {
	root := func(a clock.Actor) bool {
		_, stray := l.strays[a]
		return stray || clock.Vector(l.seen).Get(a) > 0
	}
	var next []clock.Tips
	look := func(a clock.Actor) {
		had, last := l.lineage.Get(since, a), uint64(0)
		row, known := l.lineage.Row(a)
		if had == 0 && known {
			next, last = append(next, row), 1
		}
		if t := l.index[a]; t != nil {
			i, _ := t.Max()
			if v, stray := l.strays[a]; stray && v <= strays {
				i.counter = min(i.counter, l.lineage.Get(l.seen, a))
			}
			last = max(last, i.counter)
		}
		if last > had {
			out = append(out, part{a, had, last})
			updates += min(last-had, usual)
		}
	}
	for _, d := range l.seen {
		look(d.Actor)
	}
	for a := range l.strays {
		if clock.Vector(l.seen).Get(a) == 0 {
			look(a)
		}
	}
	looked := map[clock.Actor]bool{} // of those that are no root
	for len(next) > 0 {
		parents := next[len(next)-1]
		next = next[:len(next)-1]
		for _, p := range parents {
			if !looked[p.Actor] && !root(p.Actor) {
				looked[p.Actor] = true
				look(p.Actor)
			}
		}
	}
	slices.SortFunc(out, func(x, y part) int { return cmp.Compare(x.actor, y.actor) })
	return out, updates
}

// Merge joins a peer's records, and adopts its clock if we have seen what the
// delta is since; otherwise records would be missing below that clock, and the
// link starts again from our clock (rule L4; raft's prevLogIndex, Ongaro 2014).
// Records must be decoded; one that could not be is quarantined (rule L10).
func (l *Ledger) Merge(d Delta) (m Merged, err error) {
	for _, in := range d.Entries {
		if in.Record == nil {
			ok, void := l.quarantine(in, d.From)
			m.Refused = !ok || m.Refused
			m.voids(void)
			continue
		}
		if row, ok := in.Record.(*Row); ok {
			if l.takeRow(row) != nil {
				m.Forged = append(m.Forged, in.Ref)
				m.voids(row.Writers())
			}
			continue
		}
		if beyond := l.forged(in.Record); len(beyond) > 0 {
			m.Forged = append(m.Forged, in.Ref)
			m.voids(beyond)
			continue
		}
		if held, err := l.mustWait(in); held || err != nil {
			if err != nil {
				return m, err
			}
			m.Held = append(m.Held, in.Ref)
			m.voids(in.Record.Writers())
			continue
		}
		disputed := l.disputes(in.Ref, in.Record)
		c, forgotten, err := l.join(in.Ref, in.Record, len(in.Encoded))
		switch {
		case errors.Is(err, errTooLarge):
			ok, void := l.quarantine(in, d.From)
			m.Refused = !ok || m.Refused
			m.TooLarge = append(m.TooLarge, in.Ref)
			m.voids(void)
		case err != nil:
			return m, err
		case forgotten:
			m.Forgotten = append(m.Forgotten, in.Ref)
			if in.Record.Finished() {
				l.pass(in.Ref, in.Record)
			}
		case c != nil:
			m.News = append(m.News, *c)
			if disputed && c.Old == nil {
				m.Disputed = append(m.Disputed, in.Ref)
			}
		}
	}
	if d.Clock == nil || m.Refused || !l.lineage.Covers(l.seen, d.Since) {
		return m, nil
	}
	l.adopt(d.Clock, m.void)
	m.Adopted = true
	return m, nil
}

func (m *Merged) voids(dots clock.Vector) {
	for _, d := range dots {
		if m.void == nil {
			m.void = map[clock.Actor]bool{}
		}
		m.void[d.Actor] = true
	}
}

// forged returns the updates of a record that are new here if the record claims one of our own that we never
// wrote: nobody else writes our actor's dots (rule X1). They would be lost if they were taken for held.
func (l *Ledger) forged(r Record) (beyond clock.Vector) {
	w := r.Writers()
	if own := (clock.Dot{Actor: l.self, Counter: w.Get(l.self)}); own.Counter == 0 || l.lineage.Has(l.seen, own) {
		return nil
	}
	for _, d := range w {
		if !l.Has(d) {
			beyond.Set(d)
		}
	}
	return beyond
}

// adopt takes in a clock of which every record is held or quarantined: a whole
// delta's, or a whole transfer's. What it says of ourselves we know better, and what it says of the actors in
// void does not count.
func (l *Ledger) adopt(c clock.Tips, void map[clock.Actor]bool) {
	c = l.lineage.Without(c, clock.Dot{Actor: l.self, Counter: l.Wrote() + 1})
	for a := range void {
		c = l.lineage.Without(c, clock.Dot{Actor: a, Counter: 1})
	}
	c = l.signed(c)
	if l.lineage.Covers(l.seen, c) {
		return
	}
	l.seen, l.clockDirty = l.lineage.Merge(l.seen, c), true
	l.cut()
	l.settle()
	l.reach()
}

// BoundBy says how far what clocks tell of an actor is taken in: up to which of its updates, where that is bound. What lies beyond is not
// adopted until the bound is higher and the clock is told again (rule H1).
func (l *Ledger) BoundBy(bound func(clock.Actor) (upto uint64, bound bool)) { l.boundBy = bound }

// signed is the part of a clock that is within the bounds.
func (l *Ledger) signed(c clock.Tips) clock.Tips {
	if l.boundBy == nil {
		return c
	}
	for d := range clock.Vector(c).Beyond(clock.Vector(l.seen)) {
		if upto, bound := l.boundBy(d.Actor); bound && d.Counter > upto {
			c = l.lineage.Without(c, clock.Dot{Actor: d.Actor, Counter: max(upto, clock.Vector(l.seen).Get(d.Actor)) + 1})
			l.wasCut[d.Actor] = struct{}{}
		}
	}
	return c
}

// WasCut reports whether some of what a clock has told of an actor was not adopted since the last time that it was asked, since it was beyond
// the bound.
func (l *Ledger) WasCut(a clock.Actor) bool {
	_, cut := l.wasCut[a]
	delete(l.wasCut, a)
	return cut
}

// span is every update that upto covers and since does not.
type span struct{ since, upto clock.Tips }

// keepAhead bounds the spans that are remembered.
const keepAhead = 64

// Ahead notes that every update of upto beyond since is held, or was, as after the merge of a delta without a
// clock. The clock takes these in as soon as it covers since, whoever brings that (rule R2). Otherwise an update
// whose writer loses its disk meanwhile would never be covered by any clock.
func (l *Ledger) Ahead(since, upto clock.Tips) {
	for i := range l.ahead {
		if e := &l.ahead[i]; l.lineage.Covers(e.upto, since) { // it goes on where that one ends
			e.upto = l.lineage.Merge(e.upto, upto)
			l.reach()
			return
		}
	}
	l.ahead = append(l.ahead, span{since.Clone(), upto.Clone()})
	l.ahead = l.ahead[max(0, len(l.ahead)-keepAhead):]
	l.reach()
}

// reach takes the spans in that the clock has come to.
func (l *Ledger) reach() {
	for i, x := range l.ahead {
		if l.lineage.Covers(l.seen, x.since) {
			l.ahead = slices.Delete(l.ahead, i, i+1)
			l.adopt(x.upto, nil) // and looks again
			l.reach()
			return
		}
	}
}

// Strays is the version of the updates that are held though this ledger's clock does not cover them: of the first pages
// of a transfer, until its last one; and for good when the sender has lost its disk in between (rule L5). It is
// higher whenever there is another one; 0 is none.
func (l *Ledger) Strays() (version uint64) {
	if len(l.stubs.beyond) > 0 {
		version = l.stubs.strayed
	}
	for _, v := range l.strays {
		version = max(version, v)
	}
	return version
}

// Uncovered is of how many starts updates are held that this ledger's clock does not cover: while a transfer is under way, a record is
// in quarantine or the row of a start is missing, and for good where they are strays.
func (l *Ledger) Uncovered() int {
	n := len(l.strays)
	for _, d := range l.stubs.beyond {
		if _, counted := l.strays[d.Actor]; !counted {
			n++
		}
	}
	return n
}

// StraysBehind lists n records with such an update, or all that there are, behind one of these updates, and the last one; a zero
// dot when there are no more. If several records have the last one (rule K3), all of them are listed.
func (l *Ledger) StraysBehind(after clock.Dot, n int) (refs []Ref, last clock.Dot) {
	for _, a := range slices.Sorted(maps.Keys(l.strays)) {
		from := l.lineage.Get(l.seen, a) + 1
		if a == after.Actor {
			from = max(from, after.Counter+1)
		}
		if a < after.Actor {
			continue
		}
		full := false
		l.index[a].AscendGreaterOrEqual(indexed{counter: from}, func(i indexed) bool {
			if full = len(refs) >= n && last != (clock.Dot{Actor: a, Counter: i.counter}); !full {
				refs, last = append(refs, i.ref), clock.Dot{Actor: a, Counter: i.counter}
			}
			return !full
		})
		if full {
			return refs, last
		}
	}
	return refs, clock.Dot{}
}

// settle finds out which actors have no update left that is not in the clock.
func (l *Ledger) settle() {
	for a := range l.strays {
		if last, _ := l.index[a].Max(); l.lineage.Has(l.seen, clock.Dot{Actor: a, Counter: last.counter}) {
			delete(l.strays, a)
		}
	}
	l.coverStubs()
}

// join merges one record, and returns what changed, nil when nothing did. A record
// that is absent although our clock covers its creation was forgotten here (rule L7):
// without this every peer that still holds it would bring it back to life. If it is unfinished, and not every member is
// known to have had it, it may be that our clock was told to us without it: it is held, and disputed (rule F3).
// The record has so many bytes, as it came.
func (l *Ledger) join(ref Ref, r Record, bytes int) (c *Change, forgotten bool, err error) {
	e, err := l.lookup(ref)
	if err != nil {
		return nil, false, err
	}
	if e == nil && (l.CreatedWithin(r, l.clock) && !l.disputes(ref, r) || r.Finished() && l.createdByGone(r)) {
		return nil, true, nil
	}
	merged, changed, old := r, true, Record(nil)
	if e != nil {
		old = e.record
		if merged, changed = l.schemas[ref.Kind].Merge(old, r); changed {
			bytes += int(e.size)
		}
	}
	if most := l.schemas[ref.Kind].most; changed && most > 0 && bytes > most {
		if bytes = len(merged.Encode()); bytes > most {
			return nil, false, errTooLarge
		}
	}
	defer l.release(ref, r) // not before: it lets the clock cover the record
	if !changed {
		return nil, false, nil
	}
	l.put(ref, old, merged)
	l.held[ref].size = uint32(min(bytes, math.MaxUint32))
	return &Change{ref, old, merged}, false, nil
}

// errTooLarge says that a record was not joined, since nobody else would read what that makes (rule L11).
var errTooLarge = errors.New("ledger: the record would be larger than others read")

func sizeOf(b []byte) uint32 { return uint32(min(len(b), math.MaxUint32)) }

// disputes reports whether a record that is absent here, if it is, may have been left out of what we were told, although
// our clock covers its creation.
func (l *Ledger) disputes(ref Ref, r Record) bool {
	return l.schemas[ref.Kind].disputable && !r.Finished() && l.CreatedWithin(r, l.clock) && !l.CreatedWithin(r, l.stable)
}

// Delta returns what a peer with this clock lacks, if that fits into limit
// bytes of encoded records; otherwise ok is false and it takes a [Transfer].
func (l *Ledger) Delta(since clock.Tips, limit int) (d Delta, ok bool, err error) {
	return l.DeltaBut(since, 0, limit)
}

// DeltaBut is the same for a peer that has taken our strays, up to a version of them ([Ledger.Strays]): it is not
// sent these again.
func (l *Ledger) DeltaBut(since clock.Tips, strays uint64, limit int) (d Delta, ok bool, err error) {
	t := l.pin(since, strays)
	if len(t.refs) > limit/minEntry {
		return Delta{}, false, nil
	}
	d, last, err := t.Page(l, limit)
	return d, last, err
}

// usual is for how many records, at most, a delta makes room at once. Garbage costs
// more than it seems: in a large ledger the collector is what a delta waits for.
const usual = 128

// minEntry is less than any record takes: more records than limit/minEntry
// can't fit.
const minEntry = 32

// Transfer is a large delta in pages (rule L5). At its start the list of records
// and the clock are pinned; each page carries those records' present state. The
// clock goes with the last page, and only a receiver that got every page may
// adopt it. Paging over the live table instead would lose records: j at a:3 is
// rewritten as a:5 in mid-transfer, the last page says a:4, and the receiver
// "covers" a:3 without j.
type Transfer struct {
	since clock.Tips
	clock clock.Tips
	refs  []Ref
	from  int // the first record of the present page
	upto  int // behind its last one
	stubs *stubPages
}

// Pin starts a transfer of what a peer with this clock lacks.
func (l *Ledger) Pin(since clock.Tips) *Transfer { return l.pin(since, 0) }

func (l *Ledger) pin(since clock.Tips, strays uint64) *Transfer {
	return &Transfer{since: since.Clone(), clock: l.Clock(), refs: l.lacks(since, strays), stubs: l.lacksStubs(since, strays)}
}

// Page returns the present page of at most limit encoded bytes (but at least
// one record), and whether it is the last. Until [Transfer.Advance] it may be
// asked for again, as after a broken connection.
func (t *Transfer) Page(l *Ledger, limit int) (d Delta, last bool, err error) {
	d.Since = t.since
	d.Entries = make([]Entry, 0, min(len(t.refs)-t.from, usual))
	size := 0
	for t.upto = t.from; t.upto < len(t.refs); t.upto++ {
		ref := t.refs[t.upto]
		e, err := l.lookup(ref)
		if err != nil {
			return Delta{}, false, err
		}
		if e == nil {
			e = l.passed.records[ref]
		}
		if e == nil {
			continue // forgotten since
		}
		b := e.bytes()
		if size += len(b) + minEntry; size > limit && len(d.Entries) > 0 {
			return d, false, nil
		}
		d.Entries = append(d.Entries, Entry{Ref: ref, Dots: e.record.Writers(), Encoded: b, Record: e.record})
	}
	if t.stubs != nil {
		if last, err = t.stubs.page(l, t.since, &d, limit-size); err != nil || !last {
			return d, false, err
		}
	}
	d.Clock = t.clock
	return d, true, nil
}

// Advance moves on to the next page: the receiver has acknowledged the present
// one.
func (t *Transfer) Advance() {
	t.from = t.upto
	if t.stubs != nil {
		t.stubs.from = t.stubs.upto
	}
}

// Len is how many records a transfer has, stubs not counted.
func (t *Transfer) Len() int { return len(t.refs) }

// Clock is the clock that goes with the last page.
func (t *Transfer) Clock() clock.Tips { return t.clock }

// Order puts the records of a transfer that has not begun in another order: by rank, the lowest first. Rows of starts, and kinds
// that go ahead of all others, stay where they are (see [Schema.Ahead]). Of a record that is only on disk rank is told nothing but its name.
func (t *Transfer) Order(l *Ledger, rank func(Ref, Record) int) {
	ahead := func(ref Ref) bool { return ref.Kind == Starts || l.schemas[ref.Kind].first }
	ranks := make(map[Ref]int, len(t.refs))
	for _, ref := range t.refs {
		var r Record
		if e := l.held[ref]; e != nil {
			r = e.record
		}
		ranks[ref] = rank(ref, r)
	}
	slices.SortStableFunc(t.refs, func(a, b Ref) int {
		switch x, y := ahead(a), ahead(b); {
		case x && y:
			return 0
		case x:
			return -1
		case y:
			return 1
		}
		return cmp.Compare(ranks[a], ranks[b])
	})
}
