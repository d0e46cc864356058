package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Put stores what r yields until io.EOF, at most limit bytes, and returns its digest and its size in bytes.
// If it returns no error, the blob survives any crash; if it returns one, nothing was stored ([ErrTooLarge],
// an error of r, of ctx or of the disk). Content that is already here is read nevertheless, to compute its
// digest, but not stored twice. ctx is checked between two reads; r must make sure that each read returns. A
// small Put costs two fsyncs; several Puts run in parallel.
func (b *Blobs) Put(ctx context.Context, r io.Reader, limit int64) (digest string, size int64, err error) {
	if err := b.gate.enter(); err != nil {
		return "", 0, fmt.Errorf("store blob: %w", err)
	}
	defer b.gate.leave()
	d, size, err := b.put(ctx, r, limit, "")
	if err != nil {
		return "", 0, err
	}
	return d.String(), size, nil
}

// PutExpect is Put for content whose digest is known, as it is between brokers. If the blob is already here,
// it returns nil without reading r. If the content has another digest, the error is a *[MismatchError], and
// nothing is stored.
func (b *Blobs) PutExpect(ctx context.Context, digest string, r io.Reader, limit int64) error {
	d, err := b.enter(digest)
	if err != nil {
		return fmt.Errorf("store blob: %w", err)
	}
	defer b.gate.leave()
	if _, here := b.Touch(digest); here {
		return nil
	}
	_, _, err = b.put(ctx, r, limit, d.String())
	return err
}

// put copies r into a temporary file and makes that a blob. An empty want accepts any digest.
func (b *Blobs) put(ctx context.Context, r io.Reader, limit int64, want string) (d digest, size int64, err error) {
	if err := b.fault.check(); err != nil {
		return d, 0, fmt.Errorf("store blob: %w", err)
	}
	u, err := b.newUpload()
	if err != nil {
		return d, 0, err
	}
	defer func() { err = errors.Join(err, u.discard()) }()
	if d, size, err = u.copyFrom(ctx, r, limit); err != nil {
		return d, 0, err
	}
	if want != "" && d.String() != want {
		return d, 0, &MismatchError{Want: want, Got: d.String()}
	}
	return d, size, b.install(u, d)
}

// install makes an upload the blob d, durably, unless that blob is here already.
func (b *Blobs) install(u *upload, d digest) error {
	b.noteUse(d)
	defer b.lockName(d)()
	if err := b.fault.check(); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	if _, err := b.size(d); err == nil {
		return nil // its name is not being changed and nothing has failed, so it is durable
	}
	if err := u.sync(); err != nil {
		return err
	}
	if err := b.makeShard(d.shard()); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	b.hide(d) // stays hidden if it cannot be made durable: this process never confirms it
	if err := b.fs.Rename(u.name, b.path(d)); err != nil {
		err = b.fail(fmt.Errorf("store blob %s: %w", d, err))
		if !b.fault.failed() {
			b.reveal(d)
		}
		return err
	}
	u.name = ""
	if err := b.syncName(d.shard(), "blob "+d.String()); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	b.reveal(d)
	return nil
}

// fail returns the error of a step towards durability, and freezes the store unless the disk was merely full or a
// directory was removed by someone else: in these cases it is certain that nothing was stored.
func (b *Blobs) fail(err error) error {
	if !vfs.IsNoSpaceError(err) && !errors.Is(err, fs.ErrNotExist) {
		b.fault.fail(err)
	}
	return err
}

// makeShard makes a blob directory when its first blob is stored.
func (b *Blobs) makeShard(shard string) error {
	b.mu.Lock()
	defer b.mu.Unlock() // held during the fsync, too: it happens at most 256 times in a store's life
	if b.shards[shard] {
		return nil
	}
	if err := b.fs.MkdirAll(b.fs.PathJoin(b.dir, shard), 0o700); err != nil {
		return err
	}
	if err := b.syncName("", "blob directory "+shard); err != nil {
		return err
	}
	b.shards[shard] = true
	return nil
}

// syncName makes the names in a directory durable. If that fails, it is unknown what the disk holds, and a second
// fsync may wrongly report success: the store has failed.
func (b *Blobs) syncName(folder, what string) error {
	if err := syncDir(b.fs, b.fs.PathJoin(b.dir, folder)); err != nil {
		b.fault.fail(fmt.Errorf("fsync of the name of %s: %w", what, err))
	}
	return b.fault.check()
}

// upload is a blob that is being stored: a temporary file that no other call sees.
type upload struct {
	blobs *Blobs
	name  string // "" once installed
	file  vfs.File
}

// A large blob is written back as it arrives, so many bytes at a time, so that its one fsync does not delay all commits for
// seconds.
const writeBack = 4 << 20

func (b *Blobs) newUpload() (*upload, error) {
	name := b.fs.PathJoin(b.tmpDir(), strconv.FormatUint(b.serial.Add(1), 10))
	f, err := b.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("store blob: making a temporary file: %w", err)
	}
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: writeBack, NoSyncOnClose: true})
	return &upload{blobs: b, name: name, file: f}, nil
}

// buffers holds the copy buffers of uploads. A fixed number of them would limit the uploads once more.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// copyFrom copies r into the file and computes the digest and the size while it does.
func (u *upload) copyFrom(ctx context.Context, r io.Reader, limit int64) (d digest, size int64, err error) {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return d, 0, fmt.Errorf("store blob: cancelled after %d bytes: %w", size, err)
		}
		n, err := r.Read(buf[:])
		if size += int64(n); size > limit {
			return d, 0, fmt.Errorf("store blob: %w: more than %d bytes", ErrTooLarge, limit)
		}
		h.Write(buf[:n]) // must come before the file's Write, which may change the buffer
		if n > 0 {
			if _, err := u.file.Write(buf[:n]); err != nil {
				return d, 0, fmt.Errorf("store blob: writing after %d bytes: %w", size-int64(n), err)
			}
		}
		if errors.Is(err, io.EOF) {
			h.Sum(d[:0])
			return d, size, nil
		}
		if err != nil {
			return d, 0, fmt.Errorf("store blob: reading after %d bytes: %w", size, err)
		}
	}
}

// sync makes the content durable.
func (u *upload) sync() error {
	if err := u.file.Sync(); err != nil {
		return u.blobs.fail(fmt.Errorf("store blob: fsync of its content: %w", err))
	}
	return nil
}

// discard closes the file, and removes it unless it has become a blob.
func (u *upload) discard() error {
	err := u.file.Close()
	if u.name != "" {
		err = errors.Join(err, u.blobs.fs.Remove(u.name))
	}
	if err != nil {
		return fmt.Errorf("store blob: cleaning up: %w", err)
	}
	return nil
}
