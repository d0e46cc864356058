package ledger

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
)

// Op is one write of a [Batch]: set Key to Value, or delete Key when Value is nil.
type Op struct{ Key, Value []byte }

// Batch is what must be written, atomically and synced, before anything that
// was stepped so far may leave the broker (rule I4). The dot index is not in it:
// it can be derived from the records.
type Batch struct {
	refs       []Ref
	records    []Record // nil for one that was forgotten
	bad        []Op     // and rows of starts, and what is passed on
	gone       []Op     // what is deleted of a record's other form, whole or stub; before all others
	stubs      map[Kind]*StubSchema
	own        []Op        // values that are this broker's own
	encoded    [][]byte    // of records; nil until somebody needs it
	clocks     []clockPart // of the clock and the stable one, what has changed
	wrote      []wrote
	rows       []*Row // of starts of this broker that have begun to write
	generation uint64
}

// wrote says which updates a start of this broker has written since the batch before.
type wrote struct {
	by           clock.Actor
	before, upto uint64
}

// Written is what a start of this broker has written since the batch before: the records, as they are in the batch, of which an update is
// in it. One that was forgotten since is not among them.
type Written struct {
	Actor        clock.Actor
	Before, Upto uint64 // its updates after the one and up to the other
	Refs         []Ref
	Records      []Record // of Refs
}

// Written lists what has been written in the batch: by one start, or none, or several after a start began in the same process (rule K3),
// the earliest first.
func (b *Batch) Written() (out []Written) {
	for _, x := range b.wrote {
		w := Written{Actor: x.by, Before: x.before, Upto: x.upto}
		for _, row := range b.rows {
			if row.Actor == x.by {
				w.Refs, w.Records = append(w.Refs, Ref{Starts, row.Key()}), append(w.Records, row)
			}
		}
		for i, r := range b.records {
			if r != nil && r.Writers().Get(x.by) > x.before {
				w.Refs, w.Records = append(w.Refs, b.refs[i]), append(w.Records, r)
			}
		}
		out = append(out, w)
	}
	return out
}

// Changed shows the records that are written in the batch, also by others; not those that it removes.
func (b *Batch) Changed() iter.Seq2[Ref, Record] {
	return func(yield func(Ref, Record) bool) {
		for i, r := range b.records {
			if r != nil && !yield(b.refs[i], r) {
				return
			}
		}
	}
}

// clockPart is what a clock has of one broker: stored under a key of its own, so that a commit writes what has changed, however
// many brokers there are (rule K4).
type clockPart struct {
	key     []byte
	entries clock.Tips // none: it is deleted
}

// parts are what has changed in a clock since it was stored last, and that clock is then.
func parts(space []byte, stored *clock.Tips, now clock.Tips) (out []clockPart) {
	changed := map[string]clock.Tips{}
	for name := range now.Changed(*stored) {
		changed[name] = nil
	}
	for _, d := range now {
		if entries, ok := changed[d.Actor.Broker()]; ok {
			changed[d.Actor.Broker()] = append(entries, d)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		out = append(out, clockPart{clockKeyOf(space, name), changed[name]})
	}
	*stored = now.Clone()
	return out
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool {
	return len(b.refs) == 0 && len(b.bad) == 0 && len(b.gone) == 0 && len(b.own) == 0 && len(b.clocks) == 0
}

// Ops returns the writes: this broker's own values first, the clocks' the last. Records are immutable, so that
// whoever writes them may call this, once, while the owner of the ledger goes on:
// encoding is the greater part of a commit's work.
func (b *Batch) Ops() []Op {
	ops := make([]Op, 0, len(b.own)+len(b.refs)+len(b.bad)+len(b.gone)+1)
	ops = append(ops, b.own...)
	ops = append(ops, b.gone...)
	for i, ref := range b.refs {
		if s := b.stubs[ref.Kind]; s != nil && b.records[i] != nil && s.Is(b.records[i]) {
			ops = append(ops, Op{StubKey(ref), s.Encode(b.records[i])})
			continue
		}
		if b.records[i] != nil && b.encoded[i] == nil {
			b.encoded[i] = b.records[i].Encode()
		}
		ops = append(ops, Op{RecordKey(ref), b.encoded[i]})
	}
	ops = append(ops, b.bad...)
	for _, p := range b.clocks {
		op := Op{Key: p.key}
		if len(p.entries) > 0 {
			op.Value = encodeClock(p.entries)
		}
		ops = append(ops, op)
	}
	return ops
}

// Take returns all changes since the last Take, to be written as one batch.
func (l *Ledger) Take() *Batch {
	b := &Batch{generation: l.generation, refs: l.dirty[:0:0]}
	for _, ref := range l.dirty {
		e := l.held[ref]
		switch {
		case e == nil:
			b.add(ref, nil, nil)
		case e.dirty: // else it was forgotten and made again, and is in the batch already
			e.dirty = false
			b.add(ref, e.record, e.encoded)
		}
	}
	l.noteWritten()
	b.wrote, l.wrote = l.wrote, nil
	for _, x := range b.wrote {
		if parents, ok := l.lineage.Row(x.by); ok && x.before == 0 {
			b.rows = append(b.rows, &Row{x.by, parents})
		}
	}
	b.bad, b.gone, b.stubs = slices.Concat(l.takeRows(), l.takeBad(), l.takePassed()), l.stubs.drop, l.stubs.schemas
	l.stubs.drop = nil
	b.own, l.own = l.own, nil
	if l.clockDirty {
		b.clocks = append(l.oneKey(clockKey), parts(clockKey, &l.stored.clock, l.seen)...)
	}
	if l.stableDirty {
		b.clocks = append(b.clocks, append(l.oneKey(stableKey), parts(stableKey, &l.stored.stable, l.stable)...)...)
	}
	l.dirty, l.clockDirty, l.stableDirty = nil, false, false
	l.generation++
	return b
}

// noteWritten notes what the present start has written since it was noted last.
func (l *Ledger) noteWritten() {
	if n := l.Wrote(); n > l.noted {
		l.wrote, l.noted = append(l.wrote, wrote{l.self, l.noted, n}), n
	}
}

func (b *Batch) add(ref Ref, r Record, encoded []byte) {
	b.refs, b.records, b.encoded = append(b.refs, ref), append(b.records, r), append(b.encoded, encoded)
}

// Load fills an empty ledger with what its batches have written. Each record is shown to visit
// (which may be nil) on its way. A record that does not decode fails the load: what this broker
// wrote itself must be readable.
func (l *Ledger) Load(scan Scan, visit func(Ref, Record)) error {
	err := Records(scan, l.schemas, func(s Stored) error {
		if s.Err != nil {
			return s.Err
		}
		if row, ok := s.Record.(*Row); ok {
			return l.addRow(row.Actor, row.Parents)
		}
		l.reindex(s.Ref, nil, s.Record)
		if s.Record.Finished() {
			l.archived[s.Ref] = struct{}{}
		} else {
			l.held[s.Ref] = &entry{record: s.Record, size: sizeOf(s.Value)}
			l.toggle(s.Ref)
		}
		if visit != nil {
			visit(s.Ref, s.Record)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.loadPassed(scan); err != nil {
		return err
	}
	stored, err := l.loadClock(scan, clockKey, &l.stored.clock)
	if err != nil {
		return err
	}
	l.seen = l.lineage.Tips(clock.Vector(stored))
	l.clock = l.seen.Clone()
	if err := l.loadStubs(scan); err != nil {
		return err
	}
	if stored, err = l.loadClock(scan, stableKey, &l.stored.stable); err != nil {
		return err
	}
	l.stable = l.lineage.Tips(clock.Vector(stored))
	l.settle()
	if err := l.loadBad(scan); err != nil {
		return err
	}
	l.begin()
	return nil
}

// loadClock reads a stored clock. One that an earlier version has stored under a single key is stored by broker with its next change.
func (l *Ledger) loadClock(scan Scan, space []byte, stored *clock.Tips) (clock.Tips, error) {
	c, one, err := storedClock(scan, space)
	if one {
		l.stored.one = append(l.stored.one, string(space))
	} else {
		*stored = c
	}
	return c, err
}

// oneKey deletes the key of a clock as a version before has stored it, if there is one.
func (l *Ledger) oneKey(key []byte) (out []clockPart) {
	if i := slices.Index(l.stored.one, string(key)); i >= 0 {
		l.stored.one = slices.Delete(l.stored.one, i, i+1)
		out = append(out, clockPart{key: key})
	}
	return out
}

var vectorHandle = &codec.MsgpackHandle{}

func encodeClock(v clock.Tips) []byte {
	var out []byte
	if err := codec.NewEncoderBytes(&out, vectorHandle).Encode([]clock.Dot(v)); err != nil {
		panic("ledger: encoding a vector clock: " + err.Error()) // it holds strings and numbers only
	}
	return out
}

func decodeClock(b []byte) (clock.Tips, error) {
	var v []clock.Dot
	if err := codec.NewDecoderBytes(b, vectorHandle).Decode(&v); err != nil {
		return nil, fmt.Errorf("ledger: the stored clock: %w", err)
	}
	// A version that believed such counters may have stored them.
	v = slices.DeleteFunc(v, func(d clock.Dot) bool { return d.Counter > clock.MaxCounter })
	return v, clock.Tips(v).Valid()
}
