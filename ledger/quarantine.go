package ledger

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
)

// maxQuarantined bounds how many bad records are kept aside. Beyond it the clock of
// a delta with another one is not adopted: the peer sends that delta again.
const maxQuarantined = 1024

// maxBad bounds the key of a bad record in bytes, and how many wrote it.
const maxBad = 256

// quarantined is a record of a peer that does not validate: of a newer broker, or
// damaged (rule L10). It is kept as it came, and never passed on.
type quarantined struct {
	// Holes are its dots that our clock did not cover when it came. The clock stays
	// below them, or brokers behind us would believe that they hold what we could not
	// read, and the record's next update would be taken for one of a forgotten record.
	Holes clock.Vector `codec:"holes"`
	Dots  clock.Vector `codec:"dots"` // its highest dots: a record that covers them brings all that is missing
	Bytes []byte       `codec:"bytes"`
}

// Quarantined is how many records of peers are kept aside since they don't
// validate.
func (l *Ledger) Quarantined() int { return len(l.bad) }

// quarantine puts a bad record aside. It reports false when that can't be done.
func (l *Ledger) quarantine(in Entry) bool {
	if len(in.Dots) == 0 || len(in.Dots) > maxBad || len(in.Key) > maxBad || len(in.Kind) > maxBad || in.Dots.Valid() != nil {
		return false
	}
	q := &quarantined{Bytes: in.Encoded, Dots: in.Dots.Clone()}
	for _, d := range in.Dots {
		if d.Actor != l.self && !l.clock.Has(d) {
			q.Holes.Set(d)
		}
	}
	if len(q.Holes) == 0 {
		return true // an old state of what we hold, or have forgotten
	}
	if old := l.bad[in.Ref]; old != nil {
		q.Dots.Merge(old.Dots)
		q.Holes.Merge(old.Holes)
		for _, d := range old.Holes { // of one actor the lowest hole counts, and the older one is lower
			q.Holes.Cut(clock.Dot{Actor: d.Actor, Counter: d.Counter + 1})
		}
	} else if len(l.bad) >= maxQuarantined {
		return false
	}
	l.bad[in.Ref] = q
	l.badDirty = append(l.badDirty, in.Ref)
	l.cut()
	return true
}

// release ends a record's quarantine when a state of it came that can be read and
// holds all that was missing.
func (l *Ledger) release(ref Ref, r Record) {
	if q := l.bad[ref]; q != nil && r.Writers().Covers(q.Dots) {
		delete(l.bad, ref)
		l.badDirty = append(l.badDirty, ref)
		l.cut()
	}
}

// cut derives the clock from what was seen: below every hole.
func (l *Ledger) cut() {
	l.clock = l.seen.Clone()
	for _, q := range l.bad {
		for _, d := range q.Holes {
			l.clock.Cut(d)
		}
	}
}

func (l *Ledger) takeBad() (ops []Op) {
	for _, ref := range l.badDirty {
		op := Op{Key: keyOf(quarantineSpace, ref)}
		if q := l.bad[ref]; q != nil {
			if err := codec.NewEncoderBytes(&op.Value, vectorHandle).Encode(q); err != nil {
				panic("ledger: encoding a quarantined record: " + err.Error()) // it holds bytes and numbers only
			}
		}
		ops = append(ops, op)
	}
	l.badDirty = nil
	return ops
}

// loadBad reads the quarantine. A record that this version can read is taken out of
// it: so a broker that was brought up to date catches up.
func (l *Ledger) loadBad(scan Scan) error {
	readable := map[Ref]Record{}
	err := scan([]byte{quarantineSpace}, func(key, value []byte) error {
		ref, err := refOf(key)
		if err != nil {
			return err
		}
		q := new(quarantined)
		if err := codec.NewDecoderBytes(value, vectorHandle).Decode(q); err != nil {
			return fmt.Errorf("ledger: the quarantined record %s %q: %w", ref.Kind, ref.Key, err)
		}
		l.bad[ref] = q
		if r, err := l.Decode(ref.Kind, q.Bytes); err == nil && r.Key() == ref.Key {
			readable[ref] = r
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.cut()
	for _, ref := range slices.SortedFunc(maps.Keys(readable), Ref.compare) {
		if _, _, err := l.join(ref, readable[ref]); err != nil {
			return err
		}
	}
	return nil
}
