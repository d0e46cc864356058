package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// maxKey is the longest key, in bytes.
	maxKey = 4 << 10
	// maxBatch is the largest size of a batch in bytes, keys and values together. It is far above what one
	// turn of a broker's loop writes, and far below what Pebble accepts.
	maxBatch = 64 << 20
)

// Batch collects writes that [Store.Commit] makes together or not at all. Of several writes to one key the
// last one counts. The zero value is an empty batch. A Batch belongs to one goroutine, which may use it again
// after Commit.
//
// Keys must have 1 to 4096 bytes and must not begin with byte 0, which marks the store's own keys. A batch
// holds at most 64 MiB. The first invalid write is remembered, and Commit returns its error.
type Batch struct {
	b   pebble.Batch
	err error
}

// Set writes value under key. Both are copied.
func (b *Batch) Set(key, value []byte) {
	if b.admit(key, len(value)) {
		b.keep(b.b.Set(key, value, nil))
	}
}

// Delete removes key; the key need not exist. It is copied.
func (b *Batch) Delete(key []byte) {
	if b.admit(key, 0) {
		b.keep(b.b.Delete(key, nil))
	}
}

// Len returns the number of writes.
func (b *Batch) Len() int { return int(b.b.Count()) }

// Size returns the size of the batch in bytes: keys, values and overhead.
func (b *Batch) Size() int { return b.b.Len() }

// reset empties the batch so that it can be used again.
func (b *Batch) reset() {
	b.b.Reset()
	b.err = nil
}

func (b *Batch) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

// admit checks a write, so that no mistake of a caller can make Pebble panic.
func (b *Batch) admit(key []byte, value int) bool {
	switch {
	case b.err != nil:
		return false
	case len(key) == 0:
		b.err = errors.New("the empty key is not allowed")
	case key[0] == reserved:
		b.err = fmt.Errorf("key %q begins with byte 0, which is reserved for the store", key)
	case len(key) > maxKey:
		b.err = fmt.Errorf("a key of %d bytes is %w: at most %d", len(key), ErrTooLarge, maxKey)
	case b.b.Len()+len(key)+value > maxBatch:
		b.err = fmt.Errorf("a batch of more than %d bytes is %w: commit it in parts", maxBatch, ErrTooLarge)
	}
	return b.err == nil
}

// reserved is the first byte of the store's own keys.
const reserved = 0

// setOwn writes one of the store's own keys.
func (b *Batch) setOwn(key, value []byte) { b.keep(b.b.Set(key, value, nil)) }
