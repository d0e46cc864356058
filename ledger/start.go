package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
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

// Slots calls yield with the row, which is its actor's.
func (r *Row) Slots(by clock.Actor, _ uint64, yield func(part string, content []byte)) {
	if r.Actor == by {
		yield("row", r.Encode())
	}
}

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

// begin notes what the row of this start says, whenever it is written: what its clock, below every hole (rule L10), holds of its
// own name as the start begins. So a copy that is made of a start before it has written anything, and that has heard of other
// starts than the start itself, writes the same row as that (rule K1).
func (l *Ledger) begin() {
	self, _ := l.self.Start()
	parents := slices.DeleteFunc(l.clock.Of(l.self.Broker()).Clone(), func(d clock.Dot) bool {
		s, ok := d.Actor.Start()
		return ok && s >= self
	})
	if len(parents) > maxParents {
		slices.SortStableFunc(parents, func(a, b clock.Dot) int { return cmp.Compare(age(a.Actor), age(b.Actor)) })
		parents = clock.NewTips(parents[:maxParents]...)
	}
	l.parents = parents
}

// writeRow makes the row of this start. It is synced with the clock that it is of, or after it.
func (l *Ledger) writeRow() {
	if err := l.addRow(l.self, l.parents); err != nil {
		panic("ledger: " + err.Error()) // all that makes it one was looked at above
	}
	l.rowsDirty = append(l.rowsDirty, l.self)
	first := clock.NewTips(clock.Dot{Actor: l.self, Counter: 1})
	l.seen, l.clock = l.lineage.Merge(l.seen, first), l.lineage.Merge(l.clock, first)
	l.clockDirty = true
}

// age sorts starts before actors of the earlier form: a start may imply many others.
func age(a clock.Actor) int {
	if hasStart(a) {
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
	case l.lineage.Has(l.clock, r.dot()), l.gone(r.Actor):
		return nil // that start has written something else first, or its row has gone
	}
	if err := l.addRow(r.Actor, r.Parents); err != nil {
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
		op := Op{Key: RecordKey(Ref{Starts, string(a)})}
		if parents, ok := l.lineage.Row(a); ok {
			op.Value = (&Row{a, parents}).Encode()
		}
		ops = append(ops, op)
	}
	l.rowsDirty = nil
	return ops
}

// Own is the part of the clock with the entries of this broker's starts. The caller does not change it.
func (l *Ledger) Own() clock.Tips { return l.clock.Of(l.self.Broker()) }

// WriteRow writes the row of a start that has written nothing yet, if it may (see [Ledger.RowIf]) and if its clock held several
// entries of its own name as it began: these fold into one (rule K2). It reports whether it did.
func (l *Ledger) WriteRow() bool {
	if !l.wantsRow() || len(l.parents) < 2 {
		return false
	}
	l.writeRow()
	return true
}

// GoOnAs begins another start of this broker, above all others, while the ledger lives (rule K3). What it has written
// stays; it writes as the new start from now on.
func (l *Ledger) GoOnAs(self clock.Actor) {
	l.noteWritten()
	l.self, l.noted = self, 0
	l.begin()
}

// TakeBack takes what was given up into the clock again, up to an update: it is held, and what others hold under these dots
// has come (rule K3).
func (l *Ledger) TakeBack(upto clock.Dot) { l.adopt(clock.NewTips(upto), nil) }

// GiveUp takes all updates of an earlier start of this broker beyond some out of the clock, and lists the records that
// have them: others hold other updates under the same dots, or believe that they hold these. They are to be written
// again under the present start, and what others have under the dots comes as news (rule K3).
func (l *Ledger) GiveUp(beyond clock.Dot) (refs []Ref) {
	beyond.Counter++
	l.seen, l.clockDirty = l.lineage.Without(l.seen, beyond), true
	l.cut()
	if l.Wrote() == 0 {
		l.begin()
	}
	if t := l.index[beyond.Actor]; t != nil {
		t.AscendGreaterOrEqual(indexed{counter: beyond.Counter}, func(i indexed) bool {
			refs = append(refs, i.ref)
			return true
		})
		if len(refs) > 0 {
			l.strayed++
			l.strays[beyond.Actor] = l.strayed
		}
	}
	return refs
}

// keepRows is how many rows of starts are kept of a broker, at least (rule K2).
const keepRows = 4096

// addRow notes the row of a start.
func (l *Ledger) addRow(a clock.Actor, parents clock.Tips) error {
	_, known := l.lineage.Row(a)
	err := l.lineage.Add(a, parents)
	if err == nil && !known {
		l.starts[a.Broker()]++
	}
	return err
}

// TrimRows drops the earliest rows of brokers that have more than are kept (rule K2): those of which every member holds all that
// the clock stands for by them, that no tip needs, and whose updates, and those of the starts that they list, are in no record.
// A row that has to stay keeps all later ones, since it is by these that the clock stands for it.
func (l *Ledger) TrimRows() {
	if l.Stubs() > 0 || len(l.bad) > 0 { // what is in these is not looked at
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.starts)) {
		if l.starts[name] <= keepRows {
			continue
		}
		all := l.lineage.Starts(name)
		early := all[:len(all)-keepRows]
		if i := slices.IndexFunc(early, l.needsRow); i >= 0 {
			early = early[:i]
		}
		if len(early) > 0 {
			l.lineage.Drop(early)
			l.starts[name] -= len(early)
			l.rowsDirty = append(l.rowsDirty, early...)
		}
	}
}

// needsRow reports whether the row of a start, not one of the latest, has to stay.
func (l *Ledger) needsRow(a clock.Actor) bool {
	tip := func(a clock.Actor) bool { return clock.Vector(l.seen).Get(a) > 0 || clock.Vector(l.stable).Get(a) > 0 }
	parents, _ := l.lineage.Row(a)
	return l.index[a] != nil || tip(a) || l.lineage.Get(l.stable, a) < max(l.lineage.Get(l.seen, a), 1) ||
		slices.ContainsFunc(parents, func(p clock.Dot) bool { return l.index[p.Actor] != nil || tip(p.Actor) })
}

// gone reports whether the row of a start was known, or is to be taken for one that was: it is earlier than as many as are kept.
// Of its updates the clock can't say any more whether it has held them.
func (l *Ledger) gone(a clock.Actor) bool {
	if l.starts[a.Broker()] < keepRows {
		return false
	}
	if _, known := l.lineage.Row(a); known || l.lineage.Get(l.seen, a) > 0 {
		return false
	}
	return a < l.lineage.Starts(a.Broker())[0] || !hasStart(a)
}

func hasStart(a clock.Actor) bool {
	_, ok := a.Start()
	return ok
}

// createdByGone reports whether a record that is not held was created by starts whose rows have gone, and by no other that is
// news.
func (l *Ledger) createdByGone(r Record) bool {
	some := false
	for d := range r.Creations() {
		switch {
		case l.Has(d):
		case l.gone(d.Actor):
			some = true
		default:
			return false
		}
	}
	return some
}

// mustWait reports whether a record is unfinished, is not held, and was created by starts whose rows have gone: that may be
// because it was forgotten, or because it comes from a disk that was restored; a clock can't say which.
func (l *Ledger) mustWait(in Entry) (bool, error) {
	if in.Record.Finished() || !l.createdByGone(in.Record) {
		return false, nil
	}
	e, err := l.lookup(in.Ref)
	return e == nil && err == nil, err
}
