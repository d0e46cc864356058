package store

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Blobs keeps files by the SHA-256 of their content: modules, inputs, outputs. What
// is written once is never changed, so that a digest is a promise about the bytes
// and the same content takes space once. Get one from [Store.Blobs]; all methods may
// be called at any time by any goroutine, until the store is closed.
//
// A blob appears by a rename, after its content is synced, and counts as here when
// its name is synced too (rules A1, J11: what a broker confirms must outlive its
// crash). Digests are 64 lower-case hexadecimal digits everywhere.
//
// Nothing about blobs is kept in memory but what is in motion, so that millions of
// them cost an idle broker nothing.
type Blobs struct {
	fs     vfs.FS
	dir    string
	fault  *fault
	gate   *gate
	serial atomic.Uint64 // names the temporary files

	mu     sync.Mutex
	shards map[string]bool          // folders that exist, durably
	moving map[digest]chan struct{} // whose name somebody changes; closed when done
	hidden map[digest]bool          // whose name is visible but not yet durable
	used   [2]map[digest]bool       // touched since the last Sweep, and since the one before
	sound  map[digest]stamp         // whose content was compared with their digest
}

// openBlobs makes the folders when missing, empties the temporary one, and syncs the
// others: after a kill -9 a rename may be visible that is not yet durable.
func openBlobs(fsys vfs.FS, dir string, f *fault, g *gate) (*Blobs, error) {
	b := &Blobs{fs: fsys, dir: dir, fault: f, gate: g, shards: map[string]bool{}, moving: map[digest]chan struct{}{}, hidden: map[digest]bool{},
		used: [2]map[digest]bool{{}, {}}, sound: map[digest]stamp{}}
	for _, d := range []string{dir, b.tmpDir(), b.asideDir()} {
		if err := makeDir(fsys, d); err != nil {
			return nil, fmt.Errorf("store: blob folder %s: %w", d, err)
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
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("store: listing the blob folders: %w", err)
	}
	for _, name := range names {
		if !isShard(name) {
			continue
		}
		if err := syncDir(fsys, fsys.PathJoin(dir, name)); err != nil {
			return nil, fmt.Errorf("store: syncing blob folder %s: %w", name, err)
		}
		b.shards[name] = true
	}
	if err := syncDir(fsys, dir); err != nil {
		return nil, fmt.Errorf("store: syncing blob folder %s: %w", dir, err)
	}
	return b, nil
}

func (b *Blobs) tmpDir() string   { return b.fs.PathJoin(b.dir, "tmp") }
func (b *Blobs) asideDir() string { return b.fs.PathJoin(b.dir, "corrupt") }

// path is where a blob is or would be.
func (b *Blobs) path(d digest) string { return b.fs.PathJoin(b.dir, d.shard(), d.file()) }

// isShard tells the folders of blobs from the others.
func isShard(name string) bool { return len(name) == 2 && lowerHex(name) }

// enter admits one call with this digest.
func (b *Blobs) enter(s string) (digest, error) {
	d, err := parseDigest(s)
	if err != nil {
		return d, err
	}
	return d, b.gate.enter()
}

// size looks at the disk; hidden blobs must be looked for before.
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

// hide keeps a blob from being seen, until reveal.
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

// Has reports whether the blob is here, durably, and its size in bytes. A blob that
// is still being stored is not here yet. It costs one look at the file system and
// does not read the content: see [Blobs.Verify]. What is not a digest is not here.
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

// Remove deletes a blob and frees its space; one that is not here is not an error.
// Readers that have it open keep their content. After a crash a blob that was just
// removed may be back. The caller sees to it that nothing names the blob (rule L8).
func (b *Blobs) Remove(digest string) error {
	d, err := b.enter(digest)
	if err != nil {
		return fmt.Errorf("remove blob: %w", err)
	}
	defer b.gate.leave()
	defer b.claim(d)()
	if err := b.fs.Remove(b.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob %s: %w", d, err)
	}
	return nil
}

// List calls fn for every blob that is here, in no order, with its size in bytes.
// Blobs that come or go meanwhile may be missed. An error of fn ends the List and is
// returned as it is.
func (b *Blobs) List(fn func(digest string, size int64) error) error {
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
			size, here := b.Has(shard + file) // also weeds out what is not a blob
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

// claim waits until nobody else changes the blob's name, and returns what ends our
// own change. The waits are short: a rename and an fsync of a folder.
func (b *Blobs) claim(d digest) (release func()) {
	for {
		b.mu.Lock()
		other := b.moving[d]
		if other == nil {
			done := make(chan struct{})
			b.moving[d] = done
			b.mu.Unlock()
			return func() {
				b.mu.Lock()
				delete(b.moving, d)
				b.mu.Unlock()
				close(done)
			}
		}
		b.mu.Unlock()
		<-other
	}
}
