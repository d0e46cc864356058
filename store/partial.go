package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxPartials bounds how many blobs are kept of which only a part has come.
const maxPartials = 256

// ErrBusy says that somebody else is bringing the same blob here, or that too many are being brought.
var ErrBusy = errors.New("it is being brought here already, or too many others are")

// Partial is what has come so far of a blob that is being brought here over links that break: a file that outlives the
// transfer, and the process, so that the next transfer goes on where this one ended. Nothing relies on it: it is a blob when
// its whole content has the blob's digest, and not before. It is not synced until then, so that a power failure may cost
// what had come. One caller has it at a time; it ends its use with Close.
type Partial struct {
	blobs *Blobs
	d     digest

	mu     sync.Mutex
	file   vfs.File // nil when it is closed, or has become a blob
	end    int64    // of the bytes that have come; there may be holes before it
	dirty  int64    // bytes written since the last write-back
	sum    hash.Hash
	summed int64 // how many bytes from the beginning are in sum
}

func (b *Blobs) partDir() string              { return b.fs.PathJoin(b.dir, "part") }
func (b *Blobs) partPath(d digest) string     { return b.fs.PathJoin(b.partDir(), d.String()) }
func (b *Blobs) partListPath(d digest) string { return b.partPath(d) + ".list" }

// openPartials finds what an earlier start has left, and removes what can't be that, or is too much.
func (b *Blobs) openPartials() error {
	names, err := b.fs.List(b.partDir())
	if err != nil {
		return fmt.Errorf("store: listing parts of blobs: %w", err)
	}
	b.parts = map[digest]*part{}
	for _, name := range names {
		if d, err := parseDigest(name); err == nil && len(b.parts) < maxPartials {
			b.parts[d] = &part{}
		}
	}
	for _, name := range names {
		if d, err := parseDigest(name[:min(len(name), 64)]); err == nil && b.parts[d] != nil && (name == d.String() || name == d.String()+".list") {
			continue
		}
		if err := b.fs.Remove(b.fs.PathJoin(b.partDir(), name)); err != nil {
			return fmt.Errorf("store: removing a part of a blob: %w", err)
		}
	}
	return nil
}

// part is what is known of a partial blob.
type part struct {
	busy bool
	used uint64 // the later, the larger
	idle int    // how many sweeps have passed since it was used
}

// Resume opens what is here of a blob that has not come whole, which may be nothing. It is [ErrBusy] while another call has it.
func (b *Blobs) Resume(digest string) (*Partial, error) {
	d, err := b.enter(digest)
	if err != nil {
		return nil, fmt.Errorf("resume blob: %w", err)
	}
	defer b.gate.leave()
	if err := b.fault.check(); err != nil {
		return nil, fmt.Errorf("resume blob: %w", err)
	}
	b.noteUse(d)
	if !b.claimPart(d) {
		return nil, fmt.Errorf("resume blob %s: %w", d, ErrBusy)
	}
	p := &Partial{blobs: b, d: d, sum: sha256.New()}
	if err := p.open(); err != nil {
		b.releasePart(d, true)
		return nil, fmt.Errorf("resume blob %s: %w", d, err)
	}
	return p, nil
}

// open opens the file.
func (p *Partial) open() error {
	f, err := p.blobs.fs.OpenReadWrite(p.blobs.partPath(p.d), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	p.file, p.end = f, info.Size()
	return nil
}

// claimPart takes a partial for one caller; where there are too many, it replaces the one that was not used for the longest
// time.
func (b *Blobs) claimPart(d digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.parts[d]
	if x == nil {
		if len(b.parts) >= maxPartials {
			if _, dropped := b.dropOldestPart(); !dropped {
				return false
			}
		}
		x = &part{}
		b.parts[d] = x
	}
	if x.busy {
		return false
	}
	x.busy, x.idle, x.used = true, 0, b.serial.Add(1)
	return true
}

// releasePart lets others have a partial; a gone one is forgotten.
func (b *Blobs) releasePart(d digest, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if gone {
		delete(b.parts, d)
	} else if x := b.parts[d]; x != nil {
		x.busy = false
	}
}

// dropOldestPart removes the partial that was not used for the longest time, unless all are in use. The caller holds mu.
func (b *Blobs) dropOldestPart() (freed int64, dropped bool) {
	var oldest digest
	var found *part
	for d, x := range b.parts {
		if !x.busy && (found == nil || x.used < found.used) {
			oldest, found = d, x
		}
	}
	if found == nil {
		return 0, false
	}
	delete(b.parts, oldest)
	return b.removePart(oldest), true
}

// removePart removes the files of a partial that nobody has. What can't be removed is tried again at the next start.
func (b *Blobs) removePart(d digest) (freed int64) {
	if info, err := b.fs.Stat(b.partPath(d)); err == nil {
		freed = info.Size()
	}
	_ = b.fs.Remove(b.partListPath(d))
	if err := b.fs.Remove(b.partPath(d)); err != nil {
		return 0
	}
	return freed
}

// FreePartials removes partials that nobody uses, those first that were not used for the longest time, until so many bytes
// are free, and returns how many are.
func (b *Blobs) FreePartials(bytes int64) (freed int64) {
	if b.gate.enter() != nil {
		return 0
	}
	defer b.gate.leave()
	b.mu.Lock()
	defer b.mu.Unlock()
	for freed < bytes {
		size, dropped := b.dropOldestPart()
		if !dropped {
			break
		}
		freed += size
	}
	return freed
}

// sweepPartials removes the partials of blobs that have come otherwise, and those that nobody has used since the Sweep before
// the last one and keep does not want.
func (b *Blobs) sweepPartials(keep func(digest string) bool) {
	b.mu.Lock()
	idle := []digest{}
	for d, x := range b.parts {
		if x.busy {
			continue
		}
		if x.idle++; x.idle > 1 {
			idle = append(idle, d)
		}
	}
	b.mu.Unlock()
	for _, d := range idle {
		_, here := b.Has(d.String())
		if here || !keep(d.String()) {
			b.mu.Lock()
			if x := b.parts[d]; x != nil && !x.busy {
				b.removePart(d)
				delete(b.parts, d)
			}
			b.mu.Unlock()
		}
	}
}

// Came is how many bytes of a blob have come that is not here yet: of one of which only parts have come, with holes between
// them, none.
func (b *Blobs) Came(digest string) int64 {
	d, err := b.enter(digest)
	if err != nil {
		return 0
	}
	defer b.gate.leave()
	b.mu.Lock()
	known := b.parts[d] != nil
	b.mu.Unlock()
	if !known {
		return 0
	}
	if _, err := b.fs.Stat(b.partListPath(d)); !errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	info, err := b.fs.Stat(b.partPath(d))
	if err != nil {
		return 0
	}
	return info.Size()
}

// Len is the end of what has come.
func (p *Partial) Len() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// ReadAt implements io.ReaderAt.
func (p *Partial) ReadAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	f := p.file
	p.mu.Unlock()
	if f == nil {
		return 0, fs.ErrClosed
	}
	return f.ReadAt(b, off)
}

// WriteAt implements io.WriterAt.
func (p *Partial) WriteAt(b []byte, off int64) (int, error) {
	if err := p.blobs.gate.enter(); err != nil {
		return 0, fmt.Errorf("store part of blob %s: %w", p.d, err)
	}
	defer p.blobs.gate.leave()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return 0, fs.ErrClosed
	}
	switch {
	case off == p.summed:
		p.sum.Write(b) // must come before the file's, which may change the buffer
		p.summed += int64(len(b))
	case off < p.summed: // what was summed is another now
		p.sum.Reset()
		p.summed = 0
	}
	n, err := p.file.WriteAt(b, off)
	if err != nil {
		p.sum.Reset()
		p.summed = 0
		return n, fmt.Errorf("store part of blob %s: writing at %d: %w", p.d, off, err)
	}
	p.end = max(p.end, off+int64(n))
	if p.dirty += int64(n); p.dirty >= writeBack {
		p.dirty = 0
		if _, err := p.file.SyncTo(p.end); err != nil {
			return n, p.blobs.fail(fmt.Errorf("store part of blob %s: writing back: %w", p.d, err))
		}
	}
	return n, nil
}

// Append reads r until its end, and writes it at off, at most limit bytes altogether. What has come before an error stays.
func (p *Partial) Append(ctx context.Context, r io.Reader, off, limit int64) error {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("store part of blob %s: cancelled after %d bytes: %w", p.d, off, err)
		}
		n, err := r.Read(buf[:])
		if off+int64(n) > limit {
			return fmt.Errorf("store part of blob %s: %w: more than %d bytes", p.d, ErrTooLarge, limit)
		}
		if n > 0 {
			if _, err := p.WriteAt(buf[:n], off); err != nil {
				return err
			}
			off += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("store part of blob %s: reading after %d bytes: %w", p.d, off, err)
		}
	}
}

// Finish makes the blob of what has come, if it has the blob's digest; else it is a *[MismatchError]. The partial stays as it
// was, or has become the blob, and is to be closed.
func (p *Partial) Finish(ctx context.Context) error {
	if err := p.blobs.gate.enter(); err != nil {
		return fmt.Errorf("store blob %s: %w", p.d, err)
	}
	defer p.blobs.gate.leave()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return fmt.Errorf("store blob %s: %w", p.d, fs.ErrClosed)
	}
	got, err := p.digest(ctx)
	if err != nil {
		return fmt.Errorf("store blob %s: %w", p.d, err)
	}
	if got != p.d {
		return &MismatchError{Want: p.d.String(), Got: got.String()}
	}
	u := &upload{blobs: p.blobs, name: p.blobs.partPath(p.d), file: p.file}
	if err := p.blobs.install(u, p.d); err != nil {
		return err
	}
	p.file = nil
	_ = p.blobs.fs.Remove(p.blobs.partListPath(p.d)) // a start removes what is left of it
	return u.discard()                               // it removes the file where the blob had come otherwise
}

// digest is that of the whole content: of what was written in order it is known already.
func (p *Partial) digest(ctx context.Context) (d digest, err error) {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for p.summed < p.end {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		n, err := p.file.ReadAt(buf[:min(int64(len(buf)), p.end-p.summed)], p.summed)
		if n == 0 {
			return d, fmt.Errorf("reading at %d: %w", p.summed, err)
		}
		p.sum.Write(buf[:n])
		p.summed += int64(n)
	}
	p.sum.Sum(d[:0])
	return d, nil
}

// Reset throws away what has come.
func (p *Partial) Reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return fs.ErrClosed
	}
	err := p.file.Close()
	p.file = nil
	p.blobs.removePart(p.d)
	p.sum.Reset()
	p.summed = 0
	return errors.Join(err, p.open())
}

// Close ends the use of it. What has come stays for the next one.
func (p *Partial) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		p.blobs.releasePart(p.d, true)
		return nil
	}
	err := p.file.Close()
	p.file = nil
	if p.end == 0 {
		p.blobs.removePart(p.d)
	}
	p.blobs.releasePart(p.d, p.end == 0)
	return err
}
