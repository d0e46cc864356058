package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// MaxKey is the longest key, in bytes.
	MaxKey = 4 << 10
	// MaxBatch bounds the bytes of one batch, keys and values together. It is far
	// above what one turn of a broker's loop writes, and far below what Pebble takes.
	MaxBatch = 64 << 20
)

// Batch collects writes that [Store.Commit] makes together or not at all. Of
// several writes to one key the last counts. The zero value is empty and ready; one
// goroutine owns a Batch, and may use it again after Commit.
//
// Keys must not be empty and must not begin with byte 0: those are the store's own.
// What is wrong with a write is kept and returned by Commit.
type Batch struct {
	b   pebble.Batch
	err error
}

// Set puts value under key. Both are copied.
func (b *Batch) Set(key, value []byte) {
	if b.admit(key, len(value)) {
		b.keep(b.b.Set(key, value, nil))
	}
}

// Delete removes key. That it was there is not required. The key is copied.
func (b *Batch) Delete(key []byte) {
	if b.admit(key, 0) {
		b.keep(b.b.Delete(key, nil))
	}
}

// Len returns the number of writes.
func (b *Batch) Len() int { return int(b.b.Count()) }

// Size returns the bytes that the batch holds, keys, values and overhead.
func (b *Batch) Size() int { return b.b.Len() }

// Reset empties the batch for use from the start.
func (b *Batch) Reset() {
	b.b.Reset()
	b.err = nil
}

func (b *Batch) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

// admit checks a write, so that no caller's mistake can reach a panic in Pebble.
func (b *Batch) admit(key []byte, value int) bool {
	switch {
	case b.err != nil:
		return false
	case len(key) == 0:
		b.err = errors.New("the empty key is not allowed")
	case key[0] == reserved:
		b.err = fmt.Errorf("key %q begins with byte 0, which is the store's own", key)
	case len(key) > MaxKey:
		b.err = fmt.Errorf("a key of %d bytes is %w: at most %d", len(key), ErrTooLarge, MaxKey)
	case b.b.Len()+len(key)+value > MaxBatch:
		b.err = fmt.Errorf("a batch of more than %d bytes is %w: commit in parts", MaxBatch, ErrTooLarge)
	}
	return b.err == nil
}

// reserved is the first byte of the store's own keys.
const reserved = 0

// setOwn writes one of the store's own keys.
func (b *Batch) setOwn(key, value []byte) { b.keep(b.b.Set(key, value, nil)) }
