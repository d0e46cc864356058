package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Beside a blob there may be a list of its chunks. The store keeps it and does not read it. It can be made again from the blob:
// so it is not synced, and what a crash has left of it is no list.

// chunkSum is how many bytes of its SHA-256 stand behind a list.
const chunkSum = 8

func (b *Blobs) chunksDir() string           { return b.fs.PathJoin(b.dir, "chunks") }
func (b *Blobs) chunksPath(d digest) string  { return b.fs.PathJoin(b.chunksDir(), d.String()) }
func sumOf(list []byte) (sum [chunkSum]byte) { s := sha256.Sum256(list); return [chunkSum]byte(s[:]) }

// Chunks returns the list of chunks that is kept beside a blob, of at most limit bytes.
func (b *Blobs) Chunks(digest string, limit int64) ([]byte, error) {
	d, err := b.enter(digest)
	if err != nil {
		return nil, fmt.Errorf("read chunks: %w", err)
	}
	defer b.gate.leave()
	return b.readList(b.chunksPath(d), limit)
}

// KeepChunks keeps a list of chunks beside a blob, in place of any other.
func (b *Blobs) KeepChunks(digest string, list []byte) error {
	d, err := b.enter(digest)
	if err != nil {
		return fmt.Errorf("keep chunks: %w", err)
	}
	defer b.gate.leave()
	return b.writeList(b.chunksPath(d), list)
}

// readList reads a file that writeList has written; what is none is ErrNotFound.
func (b *Blobs) readList(name string, limit int64) (list []byte, err error) {
	f, err := b.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	all, err := io.ReadAll(io.LimitReader(f, limit+chunkSum+1))
	if err != nil {
		return nil, err
	}
	n := len(all) - chunkSum
	if n < 0 || int64(n) > limit {
		return nil, ErrNotFound
	}
	if sum := sumOf(all[:n]); !bytes.Equal(all[n:], sum[:]) {
		return nil, ErrNotFound
	}
	return all[:n], nil
}

// writeList writes a list to a file, which has all of it or is none.
func (b *Blobs) writeList(name string, list []byte) (err error) {
	if err := b.fault.check(); err != nil {
		return err
	}
	tmp := b.fs.PathJoin(b.tmpDir(), strconv.FormatUint(b.serial.Add(1), 10))
	f, err := b.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	sum := sumOf(list)
	_, err = f.Write(append(bytes.Clone(list), sum[:]...))
	if err = errors.Join(err, f.Close()); err == nil {
		err = b.fs.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, b.fs.Remove(tmp))
	}
	return nil
}

// sweepChunks removes the lists of blobs that are not here any more.
func (b *Blobs) sweepChunks() error {
	names, err := b.fs.List(b.chunksDir())
	if err != nil {
		return fmt.Errorf("list chunks of blobs: %w", err)
	}
	for _, name := range names {
		if _, here := b.Has(name); here {
			continue
		}
		if err := b.fs.Remove(b.fs.PathJoin(b.chunksDir(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove chunks of a blob: %w", err)
		}
	}
	return nil
}

// Each calls fn for every blob that is here, in no particular order, with its size in bytes. Blobs that are stored or removed
// meanwhile may be missed. An error of fn ends it and is returned unchanged.
func (b *Blobs) Each(fn func(digest string, size int64) error) error { return b.list(fn) }

// Chunks returns the list of chunks by which what has come of a blob was asked for, of at most limit bytes.
func (p *Partial) Chunks(limit int64) ([]byte, error) {
	return p.blobs.readList(p.blobs.partListPath(p.d), limit)
}

// KeepChunks keeps the list of chunks by which the blob is asked for from now on. As long as there is one, what has come may have
// holes. It is written before the first byte behind a hole.
func (p *Partial) KeepChunks(list []byte) error {
	if err := p.blobs.gate.enter(); err != nil {
		return fmt.Errorf("keep chunks: %w", err)
	}
	defer p.blobs.gate.leave()
	return p.blobs.writeList(p.blobs.partListPath(p.d), list)
}

// Holey reports whether what has come may have holes.
func (p *Partial) Holey() bool {
	_, err := p.blobs.fs.Stat(p.blobs.partListPath(p.d))
	return !errors.Is(err, fs.ErrNotExist)
}
