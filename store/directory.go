package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// claim makes the data directory when it is missing, and locks it.
func claim(fsys vfs.FS, dir string) (io.Closer, error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, fmt.Errorf("store: data directory %s: %w", dir, err)
	}
	lock, err := fsys.Lock(fsys.PathJoin(dir, "LOCK"))
	if err == nil {
		return lock, nil
	}
	// A lock file that cannot be opened is a *fs.PathError; everything else is the
	// answer of the lock itself.
	var opening *fs.PathError
	if errors.As(err, &opening) {
		return nil, fmt.Errorf("store: locking data directory %s: %w", dir, err)
	}
	return nil, fmt.Errorf("store: data directory %s is %w: stop that one, or give this one another directory", dir, ErrInUse)
}

// makeDir makes a directory and the missing ones above it, each synced in its
// parent: a database is not durable in a directory that is not. The parent is synced
// also when the directory is there: who made it may have crashed before.
func makeDir(fsys vfs.FS, dir string) error {
	info, err := fsys.Stat(dir)
	parent := fsys.PathDir(dir)
	switch {
	case err == nil && !info.IsDir():
		return errors.New("it is a file, not a directory: name another place")
	case err == nil:
		if err := syncDir(fsys, parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil // a parent that we may not open was not made by us
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
	if err := patiently(func() (err error) { d, err = fsys.OpenDir(dir); return err }); err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// format is the version of what the store itself keeps: layout of the directory and
// own keys. A change that an older ucp would misread raises it.
const format = 1

var formatKey = []byte{reserved, 'f', 'o', 'r', 'm', 'a', 't'}

// checkFormat refuses a directory of a newer ucp, and marks a new one as ours.
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
	// Pebble begins the first log of a new database in an older format, in which damage
	// looks like a torn end (see recordLog): a flush begins the next.
	if err := s.db.Flush(); err != nil {
		return fmt.Errorf("store: beginning a log in %s: %w", s.opts.Dir, err)
	}
	return nil
}

// checkDatabaseFormat refuses a database that this Pebble does not know, before
// Pebble does it with an error that nobody could tell from others.
func checkDatabaseFormat(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	value, err := atomicfs.ReadMarker(fsys, dir, "format-version")
	if err != nil {
		return fmt.Errorf("store: reading the format of the database in %s: %w", dir, err)
	}
	if value == "" { // none, or one whose making was interrupted
		return nil
	}
	return formatError(dir, value, uint64(pebble.FormatNewest))
}

func formatError(dir, value string, newest uint64) error {
	version, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Errorf("store: %w: the format of %s is %q, not a number", ErrCorrupt, dir, value)
	}
	if version > newest {
		return fmt.Errorf("store: %s has format %d, %w (this one knows up to %d): run that version, or give this one another data directory", dir, version, ErrNewerFormat, newest)
	}
	return nil
}
