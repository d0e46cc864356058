package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// stamp is how a blob's file looked when its content was last compared with its
// digest.
type stamp struct {
	size    int64
	changed time.Time
}

// Touch is Has for those who are about to rely on the blob: it is kept by the next
// Sweep, whatever its age.
func (b *Blobs) Touch(digest string) (size int64, here bool) {
	d, err := parseDigest(digest)
	if err != nil {
		return 0, false
	}
	b.use(d) // first, or a Sweep could take it between the look and the note
	return b.Has(digest)
}

func (b *Blobs) use(d digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used[0][d] = true
}

// Sound is Verify at the first call since the store was opened, or since the file has
// changed: then it costs a look at the file system. A blob must be sound before it
// is given to a job or another broker, so that no damage spreads.
func (b *Blobs) Sound(ctx context.Context, digest string) error {
	d, err := b.enter(digest)
	if err != nil {
		return fmt.Errorf("check blob: %w", err)
	}
	defer b.gate.leave()
	b.use(d)
	now, err := b.look(d)
	if err != nil {
		return fmt.Errorf("check blob %s: %w", d, err)
	}
	b.mu.Lock()
	known := b.sound[d] == now
	b.mu.Unlock()
	if known {
		return nil
	}
	if err := b.Verify(ctx, digest); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sound) >= maxSound {
		clear(b.sound)
	}
	b.sound[d] = now
	return nil
}

// maxSound bounds what is remembered of blobs that were checked.
const maxSound = 1 << 16

func (b *Blobs) look(d digest) (stamp, error) {
	info, err := b.fs.Stat(b.path(d))
	if errors.Is(err, fs.ErrNotExist) || err == nil && b.isHidden(d) {
		return stamp{}, ErrNotFound
	}
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.Size(), info.ModTime()}, nil
}

// Sweep removes the blobs for which keep says no, that were stored before a time and
// neither touched nor stored since the Sweep before the last. It returns how many
// went, and their bytes. One Sweep at a time.
func (b *Blobs) Sweep(ctx context.Context, before time.Time, keep func(digest string) bool) (n int, bytes int64, err error) {
	b.mu.Lock()
	b.used[1], b.used[0] = b.used[0], map[digest]bool{}
	b.mu.Unlock()
	err = b.List(func(name string, size int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if keep(name) {
			return nil
		}
		gone, err := b.sweepOne(name, before)
		if gone {
			n, bytes = n+1, bytes+size
		}
		return err
	})
	return n, bytes, err
}

// sweepOne removes a blob unless it is young, or somebody relies on it.
func (b *Blobs) sweepOne(name string, before time.Time) (gone bool, err error) {
	d, err := parseDigest(name)
	if err != nil {
		return false, err
	}
	defer b.claim(d)()
	at, err := b.look(d)
	if errors.Is(err, ErrNotFound) || err == nil && !at.changed.Before(before) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sweep blob %s: %w", d, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock() // over the removal, so that a Touch comes before it or finds nothing
	if b.used[0][d] || b.used[1][d] {
		return false, nil
	}
	if err := b.fs.Remove(b.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("sweep blob %s: %w", d, err)
	}
	delete(b.sound, d)
	return true, nil
}
