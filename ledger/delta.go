package ledger

import (
	"github.com/urban-compute/ucp/clock"
)

// Delta is the one message of replication: what a peer whose clock is Since
// lacks, and the sender's clock (rule L4). A delta that is too large for one
// message goes as the pages of a [Transfer]; only the last page carries the
// clock (rule L5).
type Delta struct {
	Since   clock.Vector
	Entries []Entry
	Clock   clock.Vector // nil on every page but the last
}

// Entry is one record on its way.
type Entry struct {
	Kind    Kind
	Encoded []byte
	Record  Record // decoded; set by the receiver before Merge, nil while encoded only
}

// Change is a record that a merge has changed: the only thing that is news and
// is passed on (rule L6). Old is nil for a record that was not known.
type Change struct {
	Ref
	Old, New Record
}

// lacks lists the records that somebody with this clock lacks, each once, in an
// order that depends on the ledger alone.
func (l *Ledger) lacks(since clock.Vector) []Ref {
	updates := uint64(0) // that the peer lacks: no fewer than records
	for d := range l.clock.Beyond(since) {
		updates += min(d.Counter-since.Get(d.Actor), usual)
	}
	out := make([]Ref, 0, min(updates, usual))
	var seen map[Ref]struct{} // of out; an actor lists each record once, so the first needs none
	for _, actor := range l.actors {
		before := len(out)
		l.index[actor].AscendGreaterOrEqual(indexed{counter: since.Get(actor) + 1}, func(i indexed) bool {
			if before > 0 {
				if seen == nil {
					seen = make(map[Ref]struct{}, 2*before)
					for _, ref := range out {
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
	return out
}

// Merge joins a peer's records, and adopts its clock if ours covers what the
// delta is since; otherwise records would be missing below that clock, adopted
// is false, and the link starts again from our clock (rule L4; raft's
// prevLogIndex, Ongaro 2014). Records must be decoded.
func (l *Ledger) Merge(d Delta) (news []Change, adopted bool, err error) {
	for _, in := range d.Entries {
		c, err := l.join(Ref{in.Kind, in.Record.Key()}, in.Record)
		if err != nil {
			return news, false, err
		}
		if c != nil {
			news = append(news, *c)
		}
	}
	if d.Clock == nil || !l.clock.Covers(d.Since) {
		return news, false, nil
	}
	l.Adopt(d.Clock)
	return news, true, nil
}

// Adopt takes in a clock of which every record is held: a whole delta's, or a
// whole transfer's.
func (l *Ledger) Adopt(c clock.Vector) {
	if l.clock.Merge(c) {
		l.clockDirty = true
	}
}

// join merges one record, and returns what changed, nil when nothing did.
func (l *Ledger) join(ref Ref, r Record) (*Change, error) {
	e, err := l.lookup(ref)
	if err != nil {
		return nil, err
	}
	if e == nil {
		l.put(ref, nil, r)
		return &Change{ref, nil, r}, nil
	}
	merged, changed := l.schemas[ref.Kind].Merge(e.record, r)
	if !changed {
		return nil, nil
	}
	old := e.record
	l.put(ref, old, merged)
	return &Change{ref, old, merged}, nil
}

// Delta returns what a peer with this clock lacks, if that fits into limit
// bytes of encoded records; otherwise ok is false and it takes a [Transfer].
func (l *Ledger) Delta(since clock.Vector, limit int) (d Delta, ok bool, err error) {
	t := l.Pin(since)
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
	since clock.Vector
	clock clock.Vector
	refs  []Ref
	from  int // the first record of the present page
	upto  int // behind its last one
}

// Pin starts a transfer of what a peer with this clock lacks.
func (l *Ledger) Pin(since clock.Vector) *Transfer {
	return &Transfer{since: since.Clone(), clock: l.Clock(), refs: l.lacks(since)}
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
			continue // forgotten since
		}
		b := e.bytes()
		if size += len(b) + minEntry; size > limit && len(d.Entries) > 0 {
			return d, false, nil
		}
		d.Entries = append(d.Entries, Entry{Kind: ref.Kind, Encoded: b})
	}
	d.Clock = t.clock
	return d, true, nil
}

// Advance moves on to the next page: the receiver has acknowledged the present
// one.
func (t *Transfer) Advance() { t.from = t.upto }
