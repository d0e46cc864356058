package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// Scan reads a store: it calls fn for every key that begins with the prefix, in any order, and
// returns fn's first error. Key and value are only valid during the call.
type Scan func(prefix []byte, fn func(key, value []byte) error) error

// The key space of a store: "c" 0x00 name holds what the clock has of a broker, "s" 0x00 name the same of the stable one
// (a version before stored each as a whole under "c" and "s"), "r" kind 0x00 key a record, "e" kind 0x00 key what
// stays of one that has ended (its stub), "q" kind 0x00 key a quarantined one, "p" kind 0x00 key one that is only passed on, "o" name a value of the broker's own. Nothing outside this package knows it.
const (
	recordSpace     = 'r'
	stubSpace       = 'e'
	quarantineSpace = 'q'
)

var (
	clockKey  = []byte("c")
	stableKey = []byte("s")
)

// ErrUnknownKind says that a store holds a record of a kind that this version does not know: a
// newer version wrote it.
var ErrUnknownKind = errors.New("a kind of record that this version does not know")

// Stored is one record in a store. Key and Value are the store's own, for those that sum it up.
type Stored struct {
	Ref
	Record     Record // decoded, nil when Err is set
	Err        error  // why it can't be decoded; ErrUnknownKind for a newer version's
	Key, Value []byte // only valid during the call
}

// Records shows every record that batches have written to a store. The schemas are those of all
// kinds that the caller wants to see decoded. A record that does not decode is shown, too, with its
// error: the caller decides whether that matters.
func Records(scan Scan, schemas map[Kind]Schema, fn func(Stored) error) error {
	return scan([]byte{recordSpace}, func(key, value []byte) error {
		ref, err := refOf(key)
		if err != nil {
			return err
		}
		s := Stored{Ref: ref, Key: key, Value: value}
		if schema, ok := schemas[ref.Kind]; !ok {
			s.Err = fmt.Errorf("ledger: the stored record %s %q: %w", ref.Kind, ref.Key, ErrUnknownKind)
		} else if s.Record, err = schema.read(bytes.Clone(value)); err != nil {
			s.Err = fmt.Errorf("ledger: the stored record %s %q: %w", ref.Kind, ref.Key, err)
		}
		return fn(s)
	})
}

// StoredStubs counts the stubs in a store (rule M4), those of records among them that are whole again.
func StoredStubs(scan Scan) (n int, err error) {
	err = scan([]byte{stubSpace}, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// StoredClock reads the clock that batches have written to a store: nil when they have written none.
// It includes what is in quarantine, and lists its tips (rule K2).
func StoredClock(scan Scan) (clock.Tips, error) {
	c, _, err := storedClock(scan, clockKey)
	return c, err
}

// StoredStableClock reads the stable clock that batches have written to a store (rule F1), as StoredClock reads the clock.
func StoredStableClock(scan Scan) (clock.Tips, error) {
	c, _, err := storedClock(scan, stableKey)
	return c, err
}

// storedClock reads a clock, and says whether it is stored under a single key.
func storedClock(scan Scan, space []byte) (c clock.Tips, one bool, err error) {
	var all clock.Vector
	err = scan(space, func(key, value []byte) error {
		switch {
		case len(key) == len(space):
			one = true
		case key[len(space)] != 0:
			return nil
		}
		entries, err := decodeClock(value)
		all = append(all, entries...)
		return err
	})
	slices.SortFunc(all, clock.Dot.Compare)
	return clock.Tips(all), one, cmp.Or(err, all.Valid())
}

func clockKeyOf(space []byte, name string) []byte {
	return append(append(slices.Clone(space), 0), name...)
}

// StoredQuarantine counts the records of peers that a store keeps aside because they do not validate
// (rule L10).
func StoredQuarantine(scan Scan) (n int, err error) {
	err = scan([]byte{quarantineSpace}, func(_, _ []byte) error {
		n++
		return nil
	})
	return n, err
}

// Shared reports whether brokers that are in step have the same value under a store's key: all but the stable
// clock, which says what each of them knows of the others, what is passed on to others, and what is a broker's own.
func Shared(key []byte) bool {
	return !(bytes.Equal(key, stableKey) || bytes.HasPrefix(key, clockKeyOf(stableKey, ""))) && (len(key) == 0 || key[0] != ownSpace && key[0] != passedSpace)
}

// RecordKey is the key under which a store holds a record.
func RecordKey(ref Ref) []byte { return keyOf(recordSpace, ref) }

// RefOf reads the key of a stored record; ok is false for any other key.
func RefOf(key []byte) (ref Ref, ok bool) {
	if len(key) == 0 || key[0] != recordSpace {
		return Ref{}, false
	}
	ref, err := refOf(key)
	return ref, err == nil
}

func keyOf(space byte, ref Ref) []byte {
	b := make([]byte, 0, 2+len(ref.Kind)+len(ref.Key))
	b = append(b, space)
	b = append(b, ref.Kind...)
	b = append(b, 0)
	return append(b, ref.Key...)
}

// refOf reads a key behind its space.
func refOf(key []byte) (Ref, error) {
	i := bytes.IndexByte(key, 0)
	if i < 0 {
		return Ref{}, fmt.Errorf("ledger: stray key %q in the store", key)
	}
	return Ref{Kind(key[1:i]), string(key[i+1:])}, nil
}
