package ledger

import (
	"bytes"
	"fmt"

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
	bad        []Op
	encoded    [][]byte     // of records; nil until somebody needs it
	clock      clock.Vector // nil when it has not changed
	generation uint64
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool { return len(b.refs) == 0 && len(b.bad) == 0 && b.clock == nil }

// Ops returns the writes, the clock's the last. Records are immutable, so that
// whoever writes them may call this, once, while the owner of the ledger goes on:
// encoding is the greater part of a commit's work.
func (b *Batch) Ops() []Op {
	ops := make([]Op, 0, len(b.refs)+1)
	for i, ref := range b.refs {
		if b.records[i] != nil && b.encoded[i] == nil {
			b.encoded[i] = b.records[i].Encode()
		}
		ops = append(ops, Op{recordKey(ref), b.encoded[i]})
	}
	ops = append(ops, b.bad...)
	if b.clock != nil {
		ops = append(ops, Op{clockKey, encodeVector(b.clock)})
	}
	return ops
}

// The key space: "c" holds the clock, "r" kind 0x00 key a record, "q" kind 0x00 key
// a quarantined one.
var clockKey = []byte("c")

func recordKey(ref Ref) []byte { return keyOf('r', ref) }

func keyOf(space byte, ref Ref) []byte {
	b := make([]byte, 0, 2+len(ref.Kind)+len(ref.Key))
	b = append(b, space)
	b = append(b, ref.Kind...)
	b = append(b, 0)
	return append(b, ref.Key...)
}

// Take returns all changes since the last Take, to be written as one batch.
func (l *Ledger) Take() *Batch {
	b := &Batch{generation: l.generation, refs: l.dirty[:0:0]}
	for _, ref := range l.dirty {
		e := l.held[ref]
		switch {
		case e == nil:
			b.add(ref, nil, nil)
		case e.dirty: // else it was forgotten and made anew, and is in the batch already
			e.dirty = false
			b.add(ref, e.record, e.encoded)
		}
	}
	b.bad = l.takeBad()
	if l.clockDirty {
		b.clock = l.seen.Clone()
	}
	l.dirty, l.clockDirty = nil, false
	l.generation++
	return b
}

func (b *Batch) add(ref Ref, r Record, encoded []byte) {
	b.refs, b.records, b.encoded = append(b.refs, ref), append(b.records, r), append(b.encoded, encoded)
}

// Load fills an empty ledger with what its batches have written: scan must call
// its argument for every key that begins with the prefix, in any order. Each
// record is shown to visit (which may be nil) on its way. A record that does not
// decode fails the load: what this broker wrote itself must be readable.
func (l *Ledger) Load(scan func(prefix []byte, fn func(key, value []byte) error) error, visit func(Ref, Record)) error {
	load := func(key, value []byte) error {
		ref, err := refOf(key)
		if err != nil {
			return err
		}
		r, err := l.Decode(ref.Kind, value)
		if err != nil {
			return fmt.Errorf("ledger: the stored record %s %q: %w", ref.Kind, ref.Key, err)
		}
		l.reindex(ref, nil, r)
		if r.Finished() {
			l.archived[ref] = struct{}{}
		} else {
			l.held[ref] = &entry{record: r}
			l.toggle(ref)
		}
		if visit != nil {
			visit(ref, r)
		}
		return nil
	}
	if err := scan([]byte("r"), load); err != nil {
		return err
	}
	err := scan(clockKey, func(_, value []byte) (err error) {
		l.seen, err = decodeVector(value)
		l.clock = l.seen.Clone()
		return err
	})
	if err != nil {
		return err
	}
	return l.loadBad(scan)
}

// refOf reads the key of a stored record.
func refOf(key []byte) (Ref, error) {
	i := bytes.IndexByte(key, 0)
	if i < 0 {
		return Ref{}, fmt.Errorf("ledger: stray key %q in the store", key)
	}
	return Ref{Kind(key[1:i]), string(key[i+1:])}, nil
}

var vectorHandle = &codec.MsgpackHandle{}

func encodeVector(v clock.Vector) []byte {
	var out []byte
	if err := codec.NewEncoderBytes(&out, vectorHandle).Encode([]clock.Dot(v)); err != nil {
		panic("ledger: encoding a vector clock: " + err.Error()) // it holds strings and numbers only
	}
	return out
}

// DecodeClock reads the stored clock, the value under "c", for those who look at a
// store from outside.
func DecodeClock(b []byte) (clock.Vector, error) { return decodeVector(b) }

func decodeVector(b []byte) (clock.Vector, error) {
	var v []clock.Dot
	if err := codec.NewDecoderBytes(b, vectorHandle).Decode(&v); err != nil {
		return nil, fmt.Errorf("ledger: the stored clock: %w", err)
	}
	return v, clock.Vector(v).Valid()
}
