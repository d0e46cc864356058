package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
)

// Starts is the kind of the rows of starts, the one kind that the ledger itself understands: from them it knows what
// the clocks stand for that it is told (rule K1).
const Starts Kind = "start"

// StartSchema is what [Records] and others must know of rows; every ledger knows it.
var StartSchema = SchemaOf(Starts, decodeRow, func(a, _ *Row) (*Row, bool) { return a, false })

// Row says what a start held of its own name when it began. It is the start's first update, dot 1, and never changes.
type Row struct {
	Actor   clock.Actor `codec:"a"`
	Parents clock.Tips  `codec:"p"`
}

// Key implements Record: the actor.
func (r *Row) Key() string { return string(r.Actor) }

func (r *Row) dot() clock.Dot { return clock.Dot{Actor: r.Actor, Counter: 1} }

// Writers implements Record.
func (r *Row) Writers() clock.Vector { return clock.NewVector(r.dot()) }

// Finished implements Record.
func (r *Row) Finished() bool { return true }

// Creations implements Record.
func (r *Row) Creations() iter.Seq[clock.Dot] {
	return func(yield func(clock.Dot) bool) { yield(r.dot()) }
}

// Blobs implements Record.
func (r *Row) Blobs() iter.Seq[string] { return func(func(string) bool) {} }

// Encode implements Record.
func (r *Row) Encode() (out []byte) {
	if err := codec.NewEncoderBytes(&out, vectorHandle).Encode(r); err != nil {
		panic("ledger: encoding the row of a start: " + err.Error()) // it holds strings and numbers only
	}
	return out
}

// maxParents bounds the parents of a row (rule L11). A start that holds more tips of its own name lists so many; the
// others stay tips until a later start.
const maxParents = 4096

func decodeRow(b []byte) (*Row, error) {
	r := new(Row)
	if len(b) > maxParents*(maxBad+16) {
		return nil, fmt.Errorf("row of a start of %d bytes", len(b))
	}
	if err := codec.NewDecoderBytes(b, vectorHandle).Decode(r); err != nil {
		return nil, fmt.Errorf("row of a start: %w", err)
	}
	if len(r.Actor) > maxBad || len(r.Parents) > maxParents {
		return nil, fmt.Errorf("row of %.80q with %d parents, at most %d are allowed", r.Actor, len(r.Parents), maxParents)
	}
	if err := clock.CheckRow(r.Actor, r.Parents); err != nil {
		return nil, err
	}
	if !bytes.Equal(b, r.Encode()) { // all brokers are to hold the same bytes
		return nil, fmt.Errorf("row of %.80q: it is not written as rows are", r.Actor)
	}
	return r, nil
}

// RowIf says that this start writes a row before its first update if may says so then: if every member can read
// one (rule K5). Without a row it implies nothing, and the next start that has one lists it.
func (l *Ledger) RowIf(may func() bool) { l.rowIf = may }

// wantsRow reports whether the next update of this ledger is its start's first, and is to have a row before it.
func (l *Ledger) wantsRow() bool {
	_, ok := l.self.Start()
	return ok && l.Wrote() == 0 && l.rowIf != nil && l.rowIf()
}

// writeRow makes the row of this start: what its clock, below every hole (rule L10), holds of its own name. It is
// synced with that clock, or after it.
func (l *Ledger) writeRow() {
	self, _ := l.self.Start()
	parents := slices.DeleteFunc(l.clock.Of(l.self.Broker()).Clone(), func(d clock.Dot) bool {
		s, ok := d.Actor.Start()
		return ok && s >= self
	})
	if len(parents) > maxParents {
		slices.SortStableFunc(parents, func(a, b clock.Dot) int { return cmp.Compare(age(a.Actor), age(b.Actor)) })
		parents = clock.NewTips(parents[:maxParents]...)
	}
	if err := l.lineage.Add(l.self, parents); err != nil {
		panic("ledger: " + err.Error()) // all that makes it one was looked at above
	}
	l.rowsDirty = append(l.rowsDirty, l.self)
	first := clock.NewTips(clock.Dot{Actor: l.self, Counter: 1})
	l.seen, l.clock = l.lineage.Merge(l.seen, first), l.lineage.Merge(l.clock, first)
	l.clockDirty = true
}

// age sorts starts before actors of the earlier form: a start may imply many others.
func age(a clock.Actor) int {
	if _, ok := a.Start(); ok {
		return 0
	}
	return 1
}

var errForeignRow = errors.New("nobody else writes our actor's updates")

// takeRow takes in the row of another's start. An error says that it is not true: a row never changes, and nobody
// but we write our actor's updates (rule X1).
func (l *Ledger) takeRow(r *Row) error {
	old, known := l.lineage.Row(r.Actor)
	switch {
	case known && slices.Equal(old, r.Parents):
		return nil
	case known:
		return fmt.Errorf("the parents of %s are %v, and not %v", r.Actor, old, r.Parents)
	case r.Actor == l.self, clock.Vector(r.Parents).Get(l.self) > l.Wrote():
		return errForeignRow
	case l.lineage.Has(l.clock, r.dot()):
		return nil // that start has written something else first, or its row has gone (rule L7)
	}
	if err := l.lineage.Add(r.Actor, r.Parents); err != nil {
		return err
	}
	l.rowsDirty = append(l.rowsDirty, r.Actor)
	if clock.Vector(l.seen).Get(r.Actor) > 0 { // it was in quarantine, and could not be expanded
		l.seen, l.clockDirty = l.lineage.Tips(clock.Vector(l.seen)), true
	}
	l.release(Ref{Starts, r.Key()}, r)
	return nil
}

// Puzzled reports whether a clock has an entry of a start that is not known here: its row may be yet to come.
func (l *Ledger) Puzzled(c clock.Tips) bool {
	return slices.ContainsFunc(c, func(d clock.Dot) bool {
		_, ok := d.Actor.Start()
		_, known := l.lineage.Row(d.Actor)
		return ok && !known && !l.Has(clock.Dot{Actor: d.Actor, Counter: 1})
	})
}

// row returns the row of a start as a record; nil when it is not known.
func (l *Ledger) row(a clock.Actor) *entry {
	if parents, ok := l.lineage.Row(a); ok {
		return &entry{record: &Row{a, parents}}
	}
	return nil
}

// takeRows returns the writes of the rows that are new.
func (l *Ledger) takeRows() (ops []Op) {
	for _, a := range l.rowsDirty {
		parents, _ := l.lineage.Row(a)
		ops = append(ops, Op{RecordKey(Ref{Starts, string(a)}), (&Row{a, parents}).Encode()})
	}
	l.rowsDirty = nil
	return ops
}
