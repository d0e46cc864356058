package store

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Blobs keeps files by the SHA-256 of their content: modules, inputs, outputs. A stored blob never changes,
// so a digest identifies the bytes, and equal content takes space only once. Get it from [Store.Blobs]. All
// methods may be called concurrently until the store is closed; then they fail with [ErrClosed].
//
// A blob appears by a rename, after its content was synced, and counts as here when its name is synced, too
// (rules A1, J11: what a broker confirms must survive its crash). Digests are always written as 64 lower-case
// hexadecimal digits; anything else is an error.
//
// Only blobs that are being stored, or were used lately, take memory, so millions of blobs cost an idle
// broker nothing.
type Blobs struct {
	fs     vfs.FS
	dir    string
	fault  *fault
	gate   *gate
	serial atomic.Uint64 // names the temporary files

	mu       sync.Mutex
	shards   map[string]bool          // directories that exist durably
	renaming map[digest]chan struct{} // blobs whose name is being changed; closed when that is done
	hidden   map[digest]bool          // blobs whose name is visible but not yet durable
	used     [2]map[digest]bool       // blobs used since the last Sweep, and between the two before
	verified map[digest]fileStamp     // blobs whose content was compared with their digest

	parts map[digest]*part // blobs of which only a part has come

	aside map[string]bool // damaged files that the last Sweep has seen; only Sweep uses it
}

// openBlobs makes missing directories, empties the temporary one, and syncs the others: after a kill -9 a
// rename may be visible that is not yet durable.
func openBlobs(fsys vfs.FS, dir string, f *fault, g *gate) (*Blobs, error) {
	b := &Blobs{fs: fsys, dir: dir, fault: f, gate: g, shards: map[string]bool{}, renaming: map[digest]chan struct{}{}, hidden: map[digest]bool{},
		used: [2]map[digest]bool{{}, {}}, verified: map[digest]fileStamp{}}
	for _, d := range []string{dir, b.tmpDir(), b.corruptDir(), b.partDir(), b.chunksDir()} {
		if err := makeDir(fsys, d); err != nil {
			return nil, fmt.Errorf("store: blob directory %s: %w", d, err)
		}
	}
	leftovers, err := fsys.List(b.tmpDir())
	if err != nil {
		return nil, fmt.Errorf("store: listing unfinished blobs: %w", err)
	}
	for _, name := range leftovers {
		if err := fsys.Remove(fsys.PathJoin(b.tmpDir(), name)); err != nil {
			return nil, fmt.Errorf("store: removing an unfinished blob: %w", err)
		}
	}
	if err := b.openPartials(); err != nil {
		return nil, err
	}
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("store: listing the blob directories: %w", err)
	}
	for _, name := range names {
		if !isShard(name) {
			continue
		}
		if err := syncDir(fsys, fsys.PathJoin(dir, name)); err != nil {
			return nil, fmt.Errorf("store: syncing blob directory %s: %w", name, err)
		}
		b.shards[name] = true
	}
	if err := syncDir(fsys, dir); err != nil {
		return nil, fmt.Errorf("store: syncing blob directory %s: %w", dir, err)
	}
	return b, nil
}

func (b *Blobs) tmpDir() string     { return b.fs.PathJoin(b.dir, "tmp") }
func (b *Blobs) corruptDir() string { return b.fs.PathJoin(b.dir, "corrupt") }

// path returns the path of a blob, whether it exists or not.
func (b *Blobs) path(d digest) string { return b.fs.PathJoin(b.dir, d.shard(), d.file()) }

// isShard reports whether a name is that of a directory of blobs.
func isShard(name string) bool { return len(name) == 2 && lowerHex(name) }

// enter parses the digest of a call and lets the call in; if it returns no error, the caller must call
// gate.leave.
func (b *Blobs) enter(s string) (digest, error) {
	d, err := parseDigest(s)
	if err != nil {
		return d, err
	}
	return d, b.gate.enter()
}

// size returns the size of a blob's file, even if the blob is hidden.
func (b *Blobs) size(d digest) (int64, error) {
	info, err := b.fs.Stat(b.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// hide makes a blob count as absent until reveal is called.
func (b *Blobs) hide(d digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hidden[d] = true
}

func (b *Blobs) reveal(d digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.hidden, d)
}

func (b *Blobs) isHidden(d digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hidden[d]
}

// Has does what Touch does, but is not a use of the blob: a Sweep may remove it, unless a record names it.
func (b *Blobs) Has(digest string) (size int64, here bool) {
	d, err := b.enter(digest)
	if err != nil {
		return 0, false
	}
	defer b.gate.leave()
	if b.isHidden(d) {
		return 0, false
	}
	size, err = b.size(d)
	return size, err == nil
}

// list calls fn for every blob that is here, in no particular order, with its size in bytes. Blobs that are
// stored or removed meanwhile may be missed. An error of fn ends the list and is returned unchanged.
func (b *Blobs) list(fn func(digest string, size int64) error) error {
	if err := b.gate.enter(); err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	defer b.gate.leave()
	names, err := b.fs.List(b.dir)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, shard := range names {
		if !isShard(shard) {
			continue
		}
		files, err := b.fs.List(b.fs.PathJoin(b.dir, shard))
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		for _, file := range files {
			size, here := b.Has(shard + file) // also skips files that are not blobs
			if !here {
				continue
			}
			if err := fn(shard+file, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// lockName waits until no other call changes the blob's name, and reserves the name for the caller until it calls
// release. The waits are short: a rename and an fsync of a directory.
func (b *Blobs) lockName(d digest) (release func()) {
	for {
		b.mu.Lock()
		other := b.renaming[d]
		if other == nil {
			done := make(chan struct{})
			b.renaming[d] = done
			b.mu.Unlock()
			return func() {
				b.mu.Lock()
				delete(b.renaming, d)
				b.mu.Unlock()
				close(done)
			}
		}
		b.mu.Unlock()
		<-other
	}
}
