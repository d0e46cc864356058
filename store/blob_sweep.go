package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// fileStamp is the size and the modification time of a blob's file when its content was last compared with
// its digest.
type fileStamp struct {
	size    int64
	changed time.Time
}

// Touch reports whether the blob is here, durably, and its size in bytes, for a caller that is about to rely
// on it: the next Sweep keeps the blob, whatever its age. A blob that is still being stored is not here yet.
// It costs one stat and does not read the content. A string that is not a digest is not here.
func (b *Blobs) Touch(digest string) (size int64, here bool) {
	d, err := parseDigest(digest)
	if err != nil {
		return 0, false
	}
	b.noteUse(d) // first, because a Sweep could remove the blob between Has and noteUse
	return b.Has(digest)
}

func (b *Blobs) noteUse(d digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used[0][d] = true
}

// Sound checks that a blob's content has its digest. Only the first call since the store was opened, or since
// the file changed, reads the content; later calls cost one stat. A blob must be checked before it is given
// to a job or to another broker, so that no damage spreads. A damaged blob is moved aside, counts as absent
// from then on, and is reported as a *[CorruptBlobError]; a missing one as [ErrNotFound]. Like Touch, it
// makes the next Sweep keep the blob.
func (b *Blobs) Sound(ctx context.Context, digest string) error {
	d, err := b.enter(digest)
	if err != nil {
		return fmt.Errorf("check blob: %w", err)
	}
	defer b.gate.leave()
	b.noteUse(d)
	now, err := b.stat(d)
	if err != nil {
		return fmt.Errorf("check blob %s: %w", d, err)
	}
	b.mu.Lock()
	known := b.verified[d] == now
	b.mu.Unlock()
	if known {
		return nil
	}
	if err := b.verify(ctx, digest); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.verified) >= maxVerified {
		clear(b.verified)
	}
	b.verified[d] = now
	return nil
}

// maxVerified bounds how many checked blobs are remembered.
const maxVerified = 1 << 16

// stat returns the stamp of a blob's file, or ErrNotFound.
func (b *Blobs) stat(d digest) (fileStamp, error) {
	info, err := b.fs.Stat(b.path(d))
	if errors.Is(err, fs.ErrNotExist) || err == nil && b.isHidden(d) {
		return fileStamp{}, ErrNotFound
	}
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.Size(), info.ModTime()}, nil
}

// Sweep removes the blobs for which keep returns false and that were neither touched nor stored since the Sweep
// before the last one, or since the store was opened if that is later: the first Sweep removes nothing that the
// caller has used in its time. A file's date plays no part (rule T1). It returns how many blobs it removed and
// their size in bytes. The caller sees to it that keep returns true for every blob that a record names (rule
// L8), and that no two Sweeps run at once. After a crash a blob that was just removed may be back. Open blobs
// stay readable. Damaged files that were moved aside are removed by the Sweep after the first one that finds them: they are
// kept for a look, and not for good, since a failing disk makes one after the other. What has come of a blob that did not
// come whole goes like a blob.
func (b *Blobs) Sweep(ctx context.Context, keep func(digest string) bool) (n int, bytes int64, err error) {
	b.mu.Lock()
	b.used[1], b.used[0] = b.used[0], map[digest]bool{}
	b.mu.Unlock()
	if err := b.sweepAside(); err != nil {
		return 0, 0, err
	}
	b.sweepPartials(keep)
	if err := b.sweepChunks(); err != nil {
		return 0, 0, err
	}
	err = b.list(func(name string, size int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if keep(name) {
			return nil
		}
		gone, err := b.sweepOne(name)
		if gone {
			n, bytes = n+1, bytes+size
		}
		return err
	})
	return n, bytes, err
}

// sweepAside removes the damaged files that were there at the last Sweep.
func (b *Blobs) sweepAside() error {
	if err := b.gate.enter(); err != nil {
		return fmt.Errorf("list damaged blobs: %w", err)
	}
	defer b.gate.leave()
	names, err := b.fs.List(b.corruptDir())
	if err != nil {
		return fmt.Errorf("list damaged blobs: %w", err)
	}
	seen := map[string]bool{}
	for _, name := range names {
		if !b.aside[name] {
			seen[name] = true
			continue
		}
		if err := b.fs.Remove(b.fs.PathJoin(b.corruptDir(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove damaged blob %s: %w", name, err)
		}
	}
	b.aside = seen
	return nil
}

// sweepOne removes a blob unless it was used since the Sweep before the last one.
func (b *Blobs) sweepOne(name string) (gone bool, err error) {
	d, err := parseDigest(name)
	if err != nil {
		return false, err
	}
	defer b.lockName(d)()
	_, err = b.stat(d)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sweep blob %s: %w", d, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock() // held during the removal, so that a Touch either precedes it or finds nothing
	if b.used[0][d] || b.used[1][d] {
		return false, nil
	}
	if err := b.fs.Remove(b.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("sweep blob %s: %w", d, err)
	}
	delete(b.verified, d)
	return true, nil
}
