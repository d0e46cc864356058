package store

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Store is the durable state of one broker. The package comment says what it guarantees. Make one with
// [Open]; the caller of Open must call Close.
type Store struct {
	opts       Options
	lock       io.Closer
	fault      *fault
	gate       gate
	db         *pebble.DB
	blobs      *Blobs
	identified atomic.Bool
	ballast    atomic.Int64 // bytes; see ballast.go
}

// Open opens the store in o.Dir, or makes a new one there. It removes what a crash has left unfinished. It
// fails, without changing anything that was committed, when the options are invalid, when another process
// uses the directory, when a newer ucp wrote it, when its files are damaged, when its file system can't do what is needed, and on an
// error of the file system.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	if o.FS == vfs.Default {
		if err := keepPrivate(o.Dir); err != nil {
			o.Logger.Warn("other users of this machine may read the data directory, and its mode can't be changed", "dir", o.Dir, "error", err)
		}
	}
	s := &Store{opts: o, lock: lock}
	if err := s.openWithBallast(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

// open opens what the directory holds, and leaves nothing open when it fails.
func (s *Store) open() (err error) {
	s.fault = &fault{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeDatabase())
		}
	}()
	if err := probe(s.opts.FS, s.opts.Dir); err != nil {
		return err
	}
	dir := s.opts.FS.PathJoin(s.opts.Dir, "db")
	if err := checkDatabaseFormat(s.opts.FS, dir); err != nil {
		return err
	}
	if err := checkRecordLogs(s.opts.FS, dir); err != nil {
		return openError(s.opts.Dir, err)
	}
	s.db, err = pebble.Open(dir, s.opts.database(s.fault))
	if cause := s.fault.cause(); cause != nil {
		err = cause // whatever Pebble reports about a frozen disk, this is the reason
	}
	if err != nil {
		return openError(s.opts.Dir, err)
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	if s.blobs, err = openBlobs(s.opts.FS, s.opts.FS.PathJoin(s.opts.Dir, "blobs"), s.fault, &s.gate); err != nil {
		return err
	}
	if err := s.fault.arm(s.opts.Fatal); err != nil {
		return openError(s.opts.Dir, err)
	}
	return nil
}

func openError(dir string, err error) error {
	if pebble.IsCorruptionError(err) || errors.Is(err, errCorrupt) {
		return fmt.Errorf("store: the database in %s is damaged: %w: move the directory away and start again; the other brokers hold copies", dir, corrupt(err))
	}
	return fmt.Errorf("store: opening the database in %s: %w", dir, err)
}

// Close waits for the calls that are under way, ends the database's goroutines and unlocks the data
// directory. What was committed is durable without it. Later calls fail with [ErrClosed]; a second Close does
// nothing. Blobs that were opened stay readable, and their openers must close them. The error is that of a
// disk that has failed, now or before.
func (s *Store) Close() error {
	// Commits may wait for a flush that the fault holds back: release it first.
	s.fault.disarm()
	if !s.gate.close() {
		return nil
	}
	s.seal()
	err := s.release()
	if cause := s.fault.cause(); cause != nil {
		return errors.Join(fmt.Errorf("store: closing %s after a failure: %w", s.opts.Dir, cause), err)
	}
	return err
}

// seal ends the log with records that carry nothing but the marks of the fsyncs before them, so that the next
// Open sees damage to the last commit, too: see [recordLog.proves]. Three marks are needed; the fourth is
// there because Pebble may answer a commit before it notes its fsync. A failure is the fault's to report.
func (s *Store) seal() {
	for range 4 {
		if s.fault.failed() || s.db.LogData(nil, pebble.Sync) != nil {
			return
		}
	}
}

// release closes what Open has opened, in reverse order.
func (s *Store) release() error {
	err := s.closeDatabase()
	if e := s.lock.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("store: unlocking %s: %w", s.opts.Dir, e))
	}
	return err
}

func (s *Store) closeDatabase() error {
	db := s.db
	if s.db = nil; db == nil {
		return nil
	}
	if err := db.Close(); err != nil && !s.fault.failed() {
		return fmt.Errorf("store: closing the database in %s: %w", s.opts.Dir, err)
	}
	return nil
}

// Blobs returns the blobs of this store. They are closed with it.
func (s *Store) Blobs() *Blobs { return s.blobs }

// Free returns how many bytes this process may still write to the file system that holds the data directory, or
// math.MaxUint64 if the file system cannot tell.
func (s *Store) Free() (bytes uint64, err error) {
	usage, err := s.opts.FS.GetDiskUsage(s.opts.Dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return math.MaxUint64, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: asking for the free space of %s: %w", s.opts.Dir, err)
	}
	return usage.AvailBytes, nil
}

// Disk returns how many bytes the file system that holds the data directory has, and how many this process may still write; 0
// and 0 if it cannot tell.
func (s *Store) Disk() (size, free uint64, err error) {
	usage, err := s.opts.FS.GetDiskUsage(s.opts.Dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return 0, 0, nil
	}
	return usage.TotalBytes, usage.AvailBytes, err
}

// Files returns how many files (inodes) that file system may have, and how many more; 0 and 0 if it cannot tell.
func (s *Store) Files() (all, free uint64, err error) {
	if s.opts.FS != vfs.Default {
		return 0, 0, nil
	}
	return inodes(s.opts.Dir)
}

// FreeFiles returns how many files (inodes) may still be made in the file system that holds the data directory, or
// math.MaxUint64 if the file system cannot tell.
func (s *Store) FreeFiles() (uint64, error) {
	if s.opts.FS != vfs.Default {
		return math.MaxUint64, nil
	}
	n, err := freeFiles(s.opts.Dir)
	if err != nil {
		return 0, fmt.Errorf("store: asking for the free files of %s: %w", s.opts.Dir, err)
	}
	return n, nil
}
