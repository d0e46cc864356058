package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Blob is an open blob: an io.ReadSeeker and io.ReaderAt for its content, and its Size. It is read-only. Its
// content never changes, even if the blob is removed meanwhile. The caller of [Blobs.Open] must close it,
// once.
type Blob struct {
	*io.SectionReader
	file vfs.File
}

// Close frees the blob's file descriptor.
func (b *Blob) Close() error { return b.file.Close() }

// Open opens a blob for reading. It fails with [ErrNotFound] when the blob is not here. The content is not
// compared with the digest: see [Blobs.Sound].
func (b *Blobs) Open(digest string) (*Blob, error) {
	d, err := b.enter(digest)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	defer b.gate.leave()
	blob, err := b.open(d)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	return blob, nil
}

func (b *Blobs) open(d digest) (*Blob, error) {
	if b.isHidden(d) {
		return nil, ErrNotFound
	}
	return b.openFile(d)
}

func (b *Blobs) openFile(d digest) (*Blob, error) {
	f, err := b.fs.Open(b.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Blob{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

// Path returns the absolute path of a blob, for a worker process that opens the file itself. The file must
// only be read. Path fails with [ErrNotFound] when the blob is not here, and also when the store is not on
// the machine's own file system.
func (b *Blobs) Path(digest string) (string, error) {
	d, err := b.enter(digest)
	if err != nil {
		return "", fmt.Errorf("path of blob: %w", err)
	}
	defer b.gate.leave()
	if vfs.Root(b.fs) != vfs.Default {
		return "", fmt.Errorf("path of blob %s: %w", d, errNoPath)
	}
	if _, here := b.Has(digest); !here {
		return "", fmt.Errorf("path of blob %s: %w", d, ErrNotFound)
	}
	return b.path(d), nil
}

// Dir returns the directory in which all blobs lie.
func (b *Blobs) Dir() string { return b.dir }

// verify reads the whole blob and compares it with its digest. A damaged blob is moved to the directory
// "corrupt", so that it counts as absent and can be fetched again, and the error is a *[CorruptBlobError].
// Other errors ([ErrNotFound], those of ctx or of the disk) say nothing about the content.
func (b *Blobs) verify(ctx context.Context, digest string) error {
	d, err := b.enter(digest)
	if err != nil {
		return fmt.Errorf("verify blob: %w", err)
	}
	defer b.gate.leave()
	got, err := b.hash(ctx, d)
	if err == nil && got == d {
		return nil
	}
	if err == nil {
		// It is damaged. Read it again while no other call can replace it by an intact one.
		defer b.lockName(d)()
		got, err = b.hash(ctx, d)
	}
	if err != nil {
		return fmt.Errorf("verify blob %s: %w", d, err)
	}
	if got == d {
		return nil
	}
	aside := b.fs.PathJoin(b.corruptDir(), d.String())
	if err := b.fs.Rename(b.path(d), aside); err != nil {
		return fmt.Errorf("verify blob %s: %w: its content has digest %s, and moving it aside failed: %w", d, errCorrupt, got, err)
	}
	return &CorruptBlobError{Digest: d.String(), Got: got.String(), Aside: aside}
}

// hash reads the blob's content and returns its digest.
func (b *Blobs) hash(ctx context.Context, d digest) (got digest, err error) {
	blob, err := b.openFile(d)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return got, err
		}
		if _, err := io.CopyN(h, blob, 1<<20); errors.Is(err, io.EOF) {
			h.Sum(got[:0])
			return got, nil
		} else if err != nil {
			return got, err
		}
	}
}
