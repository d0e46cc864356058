package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// lockDir makes the data directory when it is missing, and locks it.
func lockDir(fsys vfs.FS, dir string) (io.Closer, error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, fmt.Errorf("store: data directory %s: %w", dir, err)
	}
	lock, err := fsys.Lock(fsys.PathJoin(dir, "LOCK"))
	if err == nil {
		return lock, nil
	}
	for _, cannot := range unsupported {
		if errors.Is(err, cannot) {
			return nil, fmt.Errorf("store: the file system of data directory %s (%s) does not lock files, so that two agents could spoil each other's data: %w: choose a directory on a local disk", dir, fileSystem(fsys, dir), err)
		}
	}
	// A lock file that cannot be opened is a *fs.PathError. Every other error means that the lock is held.
	var opening *fs.PathError
	if errors.As(err, &opening) {
		return nil, fmt.Errorf("store: locking data directory %s: %w", dir, err)
	}
	return nil, fmt.Errorf("store: data directory %s is %w: stop that agent, or give this one another directory", dir, errInUse)
}

// unsupported is what a file system says to a lock that it does not offer, as NFS does without its lock service.
var unsupported = []error{syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EINVAL}

// fileSystem names the sort of file system of a directory, for people.
func fileSystem(fsys vfs.FS, dir string) string {
	if fsys != vfs.Default {
		return "unknown"
	}
	return fileSystemType(dir)
}

// keepPrivate takes a data directory that somebody made, or an earlier version, away from the other users of the machine:
// specs hold secrets, and outputs are nobody else's.
func keepPrivate(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	if info, err = os.Stat(dir); err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("it stays %v: the file system (%s) may have no modes", info.Mode(), fileSystemType(dir))
	}
	return err
}

// makeDir makes a directory and its missing parents, and syncs each in its parent: a database is not durable
// in a directory that is not. The parent is synced even if the directory exists, because the process that
// made it may have crashed before its sync.
func makeDir(fsys vfs.FS, dir string) error {
	info, err := fsys.Stat(dir)
	parent := fsys.PathDir(dir)
	switch {
	case err == nil && !info.IsDir():
		return errors.New("it is a file, not a directory: choose another path")
	case err == nil:
		if err := syncDir(fsys, parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil // a parent that this process may not open was not made by it
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if parent != dir {
		if _, err := fsys.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			if err := makeDir(fsys, parent); err != nil {
				return err
			}
		}
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

// syncDir makes the names in a directory durable.
func syncDir(fsys vfs.FS, dir string) error {
	var d vfs.File
	if err := retryWhileScarce(func() (err error) { d, err = fsys.OpenDir(dir); return err }); err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// format is the version of the layout of the data directory and of the store's own keys. It must be raised
// with every change that an older ucp would misread.
const format = 1

var formatKey = []byte{reserved, 'f', 'o', 'r', 'm', 'a', 't'}

// checkFormat refuses a directory that was written by a newer ucp, and writes the format into a new one.
func (s *Store) checkFormat() error {
	value, found, err := s.get(formatKey)
	if err != nil {
		return err
	}
	if found {
		return formatError(s.opts.Dir, string(value), format)
	}
	var b Batch
	b.setOwn(formatKey, strconv.AppendUint(nil, format, 10))
	if err := s.Commit(&b); err != nil {
		return err
	}
	// Pebble begins the first log of a new database in an older format, in which damage looks like a torn end
	// (see recordLog). A flush begins the next log.
	if err := s.db.Flush(); err != nil {
		return fmt.Errorf("store: starting a log in %s: %w", s.opts.Dir, err)
	}
	return nil
}

// checkDatabaseFormat refuses a database whose format this Pebble does not know, before Pebble does so with
// an error that cannot be distinguished from others.
func checkDatabaseFormat(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	value, err := atomicfs.ReadMarker(fsys, dir, "format-version")
	if err != nil {
		return fmt.Errorf("store: reading the format of the database in %s: %w", dir, err)
	}
	if value == "" { // there is no database, or making it was interrupted
		return nil
	}
	return formatError(dir, value, uint64(pebble.FormatNewest))
}

func formatError(dir, value string, newest uint64) error {
	version, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Errorf("store: %w: the format of %s is %q, not a number", errCorrupt, dir, value)
	}
	if version > newest {
		return fmt.Errorf("store: %s has format %d, %w (this one knows up to %d): run that version, or give this one another data directory", dir, version, errNewerFormat, newest)
	}
	return nil
}
