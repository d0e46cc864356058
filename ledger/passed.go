package ledger

import (
	"maps"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// What others write about a record that was forgotten here is not taken in (rule L7), but the clock comes to cover it. Whoever holds
// the record, and takes that clock over from here, would lack the update for good: a delta has to bring all that its clock covers (rule L4).
// So it is passed on, and is nothing else here: until every member is known to hold it, or have it to pass on (rule F1).

// passedSpace is the part of a store for what is passed on.
const passedSpace = 'p'

// What is passed on is bounded, since a peer may invent it: beyond this all of it is dropped.
const (
	maxPassed      = 1024     // records
	maxPassedBytes = 16 << 20 // of these, encoded
)

// passed are the finished records that are not held, but passed on.
type passed struct {
	records map[Ref]*entry
	size    int   // of all, encoded
	dirty   []Ref // changed since the last Take
}

// pass has a finished record passed on which was forgotten here, if it brings an update that our clock does not cover.
func (l *Ledger) pass(ref Ref, r Record) {
	if !slices.ContainsFunc(r.Writers(), func(d clock.Dot) bool { return !l.lineage.Has(l.seen, d) }) {
		return
	}
	p := &l.passed
	var old Record
	if e := p.records[ref]; e != nil {
		merged, changed := l.schemas[ref.Kind].Merge(e.record, r)
		if !changed {
			return
		}
		old, r = e.record, merged
		p.size -= len(e.encoded)
	}
	e := &entry{record: r, encoded: r.Encode()}
	if p.size += len(e.encoded); p.records[ref] == nil && len(p.records) >= maxPassed || p.size > maxPassedBytes {
		for other := range maps.Clone(p.records) {
			l.passNoMore(other)
		}
		old, p.size = nil, len(e.encoded)
	}
	p.records[ref], p.dirty = e, append(p.dirty, ref)
	l.reindex(ref, old, r)
}

// passNoMore drops what is passed on of a record, if anything is: it is held again, or all hold it.
func (l *Ledger) passNoMore(ref Ref) {
	p := &l.passed
	if e := p.records[ref]; e != nil {
		l.unindex(ref, e.record)
		p.size -= len(e.encoded)
		delete(p.records, ref)
		p.dirty = append(p.dirty, ref)
	}
}

// passOn drops what every member is known to hold.
func (l *Ledger) passOn() {
	for _, ref := range slices.SortedFunc(maps.Keys(l.passed.records), Ref.compare) {
		if l.lineage.HasAll(l.stable, l.passed.records[ref].record.Writers()) {
			l.passNoMore(ref)
		}
	}
}

func (l *Ledger) takePassed() (ops []Op) {
	for _, ref := range l.passed.dirty {
		op := Op{Key: keyOf(passedSpace, ref)}
		if e := l.passed.records[ref]; e != nil {
			op.Value = e.encoded
		}
		ops = append(ops, op)
	}
	l.passed.dirty = nil
	return ops
}

// loadPassed reads what is passed on. What this version can't read any more is not.
func (l *Ledger) loadPassed(scan Scan) error {
	return scan([]byte{passedSpace}, func(key, value []byte) error {
		ref, err := refOf(key)
		if err != nil {
			return err
		}
		value = slices.Clone(value)
		if r, err := l.Decode(ref.Kind, value); err == nil && r.Key() == ref.Key {
			l.passed.records[ref] = &entry{record: r, encoded: value}
			l.passed.size += len(value)
			l.reindex(ref, nil, r)
		}
		return nil
	})
}
