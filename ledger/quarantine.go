package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
)

// maxQuarantined bounds how many bad records are kept aside, and maxQuarantinedBytes how much memory their bytes take. Beyond
// that the clock of a delta with another one is not adopted: the peer sends that delta again.
const (
	maxQuarantined      = 1024
	maxQuarantinedBytes = 16 << 20
)

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
	Up    uint64       `codec:"up,omitempty"` // the broker's uptime in seconds as it last came, about; 0 is not known yet

	came bool // since the last look at its age
}

// Quarantined is how many records of peers are kept aside since they don't
// validate.
func (l *Ledger) Quarantined() int { return len(l.bad) }

// quarantinedBytes is how much memory the bytes of all of these take.
func (l *Ledger) quarantinedBytes() (n int) {
	for _, q := range l.bad {
		n += len(q.Bytes)
	}
	return n
}

// DropQuarantined gives up the records that nobody has sent for a while of the broker's uptime, and returns how many these are: each exchange
// brings again what a peer still holds (rule L10). It is then as if they had never come: the clock stays below them until somebody
// fills the hole. Otherwise what a peer sent that was removed since, and that nobody else holds, would stay for good.
func (l *Ledger) DropQuarantined(up, after time.Duration) (dropped int) {
	seconds := uint64(up/time.Second) + 1
	for _, ref := range slices.SortedFunc(maps.Keys(l.bad), Ref.compare) {
		q := l.bad[ref]
		age := seconds - min(q.Up, seconds)
		switch {
		case q.Up == 0 || q.came && age > uint64(after/time.Second)/8: // not with each exchange, which would write each time
			q.Up = seconds
		case !q.came && age > uint64(after/time.Second):
			delete(l.bad, ref)
			l.lose(q.Holes)
			dropped++
		default:
			q.came = false
			continue
		}
		q.came = false
		l.badDirty = append(l.badDirty, ref)
	}
	if len(l.hearsay) >= maxQuarantined {
		clear(l.hearsay) // else nobody could vouch for any other
	}
	return dropped
}

// lose takes updates that never came, and what stands for them, out of what was seen. What is held of these brokers beyond is then
// covered by no clock until the peers have said theirs again (rule L5).
func (l *Ledger) lose(holes clock.Vector) {
	for _, d := range holes {
		l.seen, l.clockDirty = l.lineage.Without(l.seen, d), true
	}
	l.cut()
	l.strayed++
	for a, t := range l.index {
		if last, _ := t.Max(); !l.lineage.Has(l.seen, clock.Dot{Actor: a, Counter: last.counter}) && l.strays[a] == 0 {
			l.strays[a] = l.strayed
		}
	}
}

// hearsay is a bad record of which nobody but one peer has spoken so far, who did not write it.
type hearsay struct {
	by  string // that peer
	sum [sha256.Size]byte
}

// vouched says which holes of a bad record are real on the word of a peer: those that the peer wrote itself,
// and all as soon as a second peer sends the same bytes. Otherwise one broken or lying peer could hold back
// our clock for everybody by records that nobody wrote (rule X4).
func (l *Ledger) vouched(in Entry, holes clock.Vector, from clock.Actor) (real, void clock.Vector) {
	heard := hearsay{from.Broker(), sha256.Sum256(in.Encoded)}
	first, known := l.hearsay[in.Ref]
	if known && first.by != heard.by && first.sum == heard.sum {
		delete(l.hearsay, in.Ref)
		return holes, nil
	}
	if known || len(l.hearsay) < maxQuarantined {
		l.hearsay[in.Ref] = heard
	}
	for _, d := range holes {
		if d.Actor == from {
			real.Set(d)
		} else {
			void.Set(d)
		}
	}
	return real, void
}

// quarantine puts a bad record aside that a peer has sent. It reports false when that can't be done, and for which
// actors the peer's clock does not count, since it covers what may be missing here.
func (l *Ledger) quarantine(in Entry, from clock.Actor) (ok bool, void clock.Vector) {
	if len(in.Dots) == 0 || len(in.Key) > maxBad || len(in.Kind) > maxBad || in.Dots.Valid() != nil {
		return false, nil
	}
	if len(in.Dots) > maxBad { // not kept: its sender may tell us of all others still, who may have nothing to do with it
		for _, d := range in.Dots {
			if d.Actor != l.self && !l.Has(d) {
				void.Set(d)
			}
		}
		return true, void
	}
	old := l.bad[in.Ref]
	if old != nil {
		old.came = true
	}
	q := &quarantined{Bytes: in.Encoded, Dots: in.Dots.Clone(), came: true}
	for _, d := range in.Dots {
		if d.Actor != l.self && !l.Has(d) {
			q.Holes.Set(d)
		}
	}
	if len(q.Holes) == 0 {
		return true, nil // an old state of what we hold, or have forgotten
	}
	if q.Holes, void = l.vouched(in, q.Holes, from); len(q.Holes) == 0 {
		return true, void
	}
	if old != nil {
		q.Up = old.Up
		q.Dots.Merge(old.Dots)
		q.Holes.Merge(old.Holes)
		for _, d := range old.Holes { // of one actor the lowest hole counts, and the older one is lower
			q.Holes.Cut(clock.Dot{Actor: d.Actor, Counter: d.Counter + 1})
		}
	}
	if old == nil && len(l.bad) >= maxQuarantined || (old == nil || len(q.Bytes) > len(old.Bytes)) && l.quarantinedBytes()+len(q.Bytes) > maxQuarantinedBytes {
		return false, nil
	}
	l.bad[in.Ref] = q
	l.badDirty = append(l.badDirty, in.Ref)
	l.cut()
	return true, void
}

// release ends a record's quarantine when a state of it came that can be read and
// holds all that was missing.
func (l *Ledger) release(ref Ref, r Record) {
	delete(l.hearsay, ref)
	if q := l.bad[ref]; q != nil && r.Writers().Covers(q.Dots) {
		delete(l.bad, ref)
		l.badDirty = append(l.badDirty, ref)
		l.cut()
	}
}

// cut derives the clock from what was seen: below every hole, and without every start that implies one.
func (l *Ledger) cut() {
	l.clock = l.seen.Clone()
	for _, q := range l.bad {
		for _, d := range q.Holes {
			l.clock = l.lineage.Without(l.clock, d)
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
		if row, ok := readable[ref].(*Row); ok {
			_ = l.takeRow(row) // one that is not true stays where it is
			continue
		}
		if _, _, err := l.join(ref, readable[ref], len(l.bad[ref].Bytes)); err != nil && !errors.Is(err, errTooLarge) {
			return err
		}
	}
	return nil
}
