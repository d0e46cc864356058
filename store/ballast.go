package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ballastFile takes up space that a start needs where the disk has become full: opening the database writes a manifest and a
// log before it frees anything, and so does the actor of the start (rule I1).
const ballastFile = "BALLAST"

// ballastShare bounds the ballast on small disks: one in so many bytes of the file system.
const ballastShare = 8

// ballastWanted is how many bytes the ballast of this store should have, and how many are free on its disk: 0 where none is wanted, or the file system does not say
// how large it is.
func (s *Store) ballastWanted() (want, free uint64) {
	usage, err := s.opts.FS.GetDiskUsage(s.opts.Dir)
	if err != nil {
		return 0, 0
	}
	return min(uint64(s.opts.Ballast), usage.TotalBytes/ballastShare), usage.AvailBytes
}

// Ballast returns how many bytes the store keeps free for its next start by a file of that size: who asks how much is [Store.Free]
// may count them as free.
func (s *Store) Ballast() int64 { return s.ballast.Load() }

// KeepBallast makes the ballast where it is missing and the disk has room for it twice. It is for the store's owner, who calls
// it from time to time, on one goroutine; Open calls it, too.
func (s *Store) KeepBallast() error {
	if s.opts.Ballast == 0 || s.ballast.Load() > 0 {
		return nil
	}
	path := s.opts.FS.PathJoin(s.opts.Dir, ballastFile)
	if info, err := s.opts.FS.Stat(path); err == nil && info.Size() > 0 {
		s.ballast.Store(info.Size())
		return nil
	}
	want, free := s.ballastWanted()
	if want == 0 || free < 2*want {
		return nil
	}
	if err := s.makeBallast(path, int64(want)); err != nil {
		return fmt.Errorf("store: keeping %d bytes in %s for the next start: %w", want, path, errors.Join(err, s.opts.FS.RemoveAll(path)))
	}
	s.ballast.Store(int64(want))
	return nil
}

func (s *Store) makeBallast(path string, size int64) error {
	f, err := s.opts.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(takeSpace(f, size), f.Close())
}

// fillSpace writes so many bytes to a new file.
func fillSpace(f vfs.File, size int64) error {
	block := make([]byte, 64<<10)
	for left := size; left > 0; left -= int64(len(block)) {
		if _, err := f.Write(block[:min(left, int64(len(block)))]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// dropBallast removes the ballast, and reports whether there was one.
func (s *Store) dropBallast() bool {
	path := s.opts.FS.PathJoin(s.opts.Dir, ballastFile)
	if _, err := s.opts.FS.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err := s.opts.FS.Remove(path); err != nil {
		s.opts.Logger.Warn("the disk is full, and the space that was kept for this start can't be freed", "file", path, "error", err)
		return false
	}
	s.ballast.Store(0)
	s.opts.Logger.Warn("the disk is full: this start uses the space that was kept for it", "file", path)
	return true
}

// openWithBallast opens the store, without its ballast where the disk has no room otherwise.
func (s *Store) openWithBallast() error {
	if want, free := s.ballastWanted(); free < want {
		s.dropBallast()
	}
	err := s.open()
	if isFull(err) && s.dropBallast() {
		err = s.open()
	}
	if isFull(err) {
		want, _ := s.ballastWanted()
		return fmt.Errorf("%w: free %d MiB or more on the disk of %s and start again; in that directory itself, wasm-cache and blobs/corrupt may be removed, and nothing else", err, max(want>>20, 1), s.opts.Dir)
	}
	if err == nil {
		if err := s.KeepBallast(); err != nil {
			s.opts.Logger.Warn(err.Error())
		}
	}
	return err
}

// isFull reports whether an error says that the disk, or what this user may have of it, is full.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
