package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// Commit makes all writes of the batch atomically, and returns when they are synced to disk by one fsync,
// which concurrent Commits share. If it returns nil, the writes survive any crash. If it returns an error
// because the disk has failed, the next start finds all of the writes or none of them. With any other error
// nothing was written: [ErrClosed] after Close, [ErrTooLarge] or another mistake in the batch. In every case
// the batch is empty afterwards.
func (s *Store) Commit(b *Batch) error {
	defer b.reset()
	if b.err != nil {
		return fmt.Errorf("store commit: %w", b.err)
	}
	if err := s.gate.enter(); err != nil {
		return fmt.Errorf("store commit: %w", err)
	}
	defer s.gate.leave()
	if err := s.fault.check(); err != nil {
		return fmt.Errorf("store commit: %w", err)
	}
	if b.b.Empty() {
		return nil
	}
	if err := s.db.Apply(&b.b, pebble.Sync); err != nil {
		return fmt.Errorf("store commit of %d writes: %w", b.Len(), err)
	}
	// A frozen disk reports success for everything. Only now is it certain that the disk was not frozen when
	// it did.
	if err := s.fault.check(); err != nil {
		return fmt.Errorf("store commit: %w", err)
	}
	return nil
}

// Get returns a copy of the value under key; found is false if there is none. The store's own keys are never
// found. Get sees every Commit that has returned, and may see one that has not.
func (s *Store) Get(key []byte) (value []byte, found bool, err error) {
	if len(key) == 0 || key[0] == reserved {
		return nil, false, nil
	}
	return s.get(key)
}

func (s *Store) get(key []byte) ([]byte, bool, error) {
	if err := s.gate.enter(); err != nil {
		return nil, false, fmt.Errorf("store get %q: %w", key, err)
	}
	defer s.gate.leave()
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("store get %q: %w", key, corrupt(err))
	}
	v = slices.Clone(v)
	if err := closer.Close(); err != nil {
		return nil, false, fmt.Errorf("store get %q: %w", key, err)
	}
	return v, true, nil
}

// Scan calls fn for each key that begins with prefix, in the order of the keys' bytes, as they were at the
// start of the Scan. An empty prefix means all keys. key and value are valid only until fn returns: copy what
// is kept. An error of fn ends the Scan and is returned unchanged. fn may call Get and Commit, but not Close.
func (s *Store) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if err := s.gate.enter(); err != nil {
		return fmt.Errorf("store scan %q: %w", prefix, err)
	}
	defer s.gate.leave()
	return scan(s.db, prefix, fn)
}

// Walk shows the keys that begin with prefix and are greater than after, in ascending order, until fn says that it has
// seen enough. Key and value are only valid during the call of fn, which may call Get, but not Close.
func (s *Store) Walk(prefix, after []byte, fn func(key, value []byte) (more bool)) error {
	if err := s.gate.enter(); err != nil {
		return fmt.Errorf("store walk %q: %w", prefix, err)
	}
	defer s.gate.leave()
	from := prefix
	if bytes.Compare(after, prefix) > 0 {
		from = append(slices.Clone(after), 0)
	}
	return scanFrom(s.db, from, prefix, func(key, value []byte) error {
		if !fn(key, value) {
			return errEnough
		}
		return nil
	})
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// Snapshot calls fn with a function that does what Scan does, but always shows the store as it was at the
// start of the Snapshot. That function is valid until fn returns. An error of fn is returned unchanged. fn
// may call Get and Commit, but not Close.
func (s *Store) Snapshot(fn func(scan func(prefix []byte, fn func(key, value []byte) error) error) error) (err error) {
	if err := s.gate.enter(); err != nil {
		return fmt.Errorf("store snapshot: %w", err)
	}
	defer s.gate.leave()
	snapshot := s.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	return fn(func(prefix []byte, fn func(key, value []byte) error) error { return scan(snapshot, prefix, fn) })
}

// scan is Scan on the database or on a snapshot of it.
func scan(from pebble.Reader, prefix []byte, fn func(key, value []byte) error) error {
	lower := prefix
	if len(prefix) == 0 {
		lower = []byte{reserved + 1}
	} else if prefix[0] == reserved {
		return nil
	}
	return scanFrom(from, lower, prefix, fn)
}

// scanFrom is scan for the keys of a prefix that are not less than lower. It ends without an error when fn has had enough.
func scanFrom(from pebble.Reader, lower, prefix []byte, fn func(key, value []byte) error) error {
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(prefix)})
	if err != nil {
		return fmt.Errorf("store scan %q: %w", prefix, corrupt(err))
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			_ = it.Close() // the same error again
			return fmt.Errorf("store scan %q at %q: %w", prefix, it.Key(), corrupt(err))
		}
		if err := fn(it.Key(), v); err != nil {
			closed := it.Close()
			if errors.Is(err, errEnough) {
				return closed
			}
			return err // and not what closing says
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store scan %q: %w", prefix, corrupt(err))
	}
	return nil
}

// after returns the first key after all keys that begin with prefix, or nil if there is none.
func after(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
