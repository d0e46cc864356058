package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A data directory may lie on anything that can be mounted. What the database, the blobs and jobs take for granted is tried at
// each start, so that a file system which lacks some of it is refused by its name, and not for what fails later.

// need is one thing that a file system must be able to do in a directory.
type need struct {
	what string
	try  func(fsys vfs.FS, dir string) error
}

// needs of every file system.
var needs = []need{
	{"rename a file over another one", renamesOver},
	{"sync a directory", syncDir},
	{"remove a directory with what is in it", func(fsys vfs.FS, dir string) error {
		inner := fsys.PathJoin(dir, "d", "e")
		return errors.Join(fsys.MkdirAll(inner, 0o700), putFile(fsys, fsys.PathJoin(inner, "f"), "x"), fsys.RemoveAll(fsys.PathJoin(dir, "d")))
	}},
}

// machineNeeds are those of the machine's own file systems, where jobs run, too.
var machineNeeds = []need{
	{"keep the modes of files", keepsModes},
	{"make symbolic links", func(_ vfs.FS, dir string) error { return os.Symlink("file", filepath.Join(dir, "link")) }},
	{"read a file that has no name any more", readsRemoved},
}

// probe tries what is needed of the file system of the data directory, and says what it can't do.
func probe(fsys vfs.FS, dir string) (err error) {
	place := fsys.PathJoin(dir, "probe")
	if err := errors.Join(fsys.RemoveAll(place), fsys.MkdirAll(place, 0o700)); err != nil {
		return fmt.Errorf("store: making a directory in %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, fsys.RemoveAll(place)) }()
	all := needs
	if fsys == vfs.Default {
		all = append(all[:len(all):len(all)], machineNeeds...)
	}
	var cannot []string
	var causes []error
	for _, n := range all {
		switch err := n.try(fsys, place); {
		case err == nil:
		case ofTheMoment(err):
			return fmt.Errorf("store: trying what the file system of data directory %s can do: %w", dir, err)
		default:
			cannot, causes = append(cannot, n.what), append(causes, err)
		}
	}
	if len(cannot) == 0 {
		return nil
	}
	return fmt.Errorf("store: the file system of data directory %s (%s) can't %s (%w): choose a directory on a local disk, with a file system such as ext4 or xfs",
		dir, fileSystem(fsys, dir), strings.Join(cannot, ", "), errors.Join(causes...))
}

// ofTheMoment reports whether an error says nothing of what a file system can do: the disk is full, read-only, or damaged, or this
// process has no more descriptors.
func ofTheMoment(err error) bool {
	for _, now := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, now) {
			return true
		}
	}
	return false
}

// putFile makes a file and syncs it.
func putFile(fsys vfs.FS, name, text string) error {
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Sync(), f.Close())
}

func renamesOver(fsys vfs.FS, dir string) error {
	from, to := fsys.PathJoin(dir, "new"), fsys.PathJoin(dir, "file")
	if err := errors.Join(putFile(fsys, to, "old"), putFile(fsys, from, "new"), fsys.Rename(from, to)); err != nil {
		return err
	}
	f, err := fsys.Open(to)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err == nil && !bytes.Equal(text, []byte("new")) {
		err = fmt.Errorf("it reads %q afterwards", text)
	}
	return err
}

func keepsModes(_ vfs.FS, dir string) error {
	name := filepath.Join(dir, "file")
	for _, mode := range []os.FileMode{0o700, 0o400, 0o600} {
		if err := os.Chmod(name, mode); err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.Mode().Perm() != mode {
			return fmt.Errorf("%v became %v", mode, info.Mode().Perm())
		}
	}
	return nil
}

func readsRemoved(_ vfs.FS, dir string) error {
	name := filepath.Join(dir, "removed")
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(name); err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	if err == nil && string(text) != "text" {
		err = fmt.Errorf("it reads %q", text)
	}
	return err
}
