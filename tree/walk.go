package tree

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/job"
)

// Walker takes in what [Walk] finds.
type Walker struct {
	// Store takes a file, and says what its content is. The name is a path below the root.
	Store func(name string) (job.Blob, error)
	// Leave is told what can't be part of a manifest, and why: it is left out, unless Leave returns an error.
	Leave func(name, what string) error
}

// Walk makes the manifest of a directory below a root. It follows no link. Its errors are those of the file system, of
// Store and of Leave; and one when the directory is out of bounds.
func Walk(root *os.Root, dir string, w Walker) (*Manifest, error) {
	m := &Manifest{Entries: []Entry{}}
	if err := m.walk(root, dir, "", &w); err != nil {
		return nil, err
	}
	slices.SortFunc(m.Entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	return m, nil
}

// walk adds what is in a directory; at is its path in the manifest.
func (m *Manifest) walk(root *os.Root, base, at string, w *Walker) error {
	f, err := root.Open(path.Join(base, at))
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		found, err := f.ReadDir(256)
		for _, d := range found {
			if err := m.add(root, base, path.Join(at, d.Name()), d.Type(), w); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// plainLink writes a link's path as a clean one, unless that might lead elsewhere.
func plainLink(to string) string {
	up := func(p string) (n int) {
		for name := range strings.SplitSeq(p, "/") {
			if name == ".." {
				n++
			}
		}
		return n
	}
	if p := path.Clean(to); up(p) == up(to) {
		return p
	}
	return to
}

// add adds one thing that was found.
func (m *Manifest) add(root *os.Root, base, at string, kind fs.FileMode, w *Walker) error {
	name := path.Join(base, at)
	e := Entry{Path: at}
	switch {
	case kind.IsDir():
		e.Dir = true
	case kind&fs.ModeSymlink != 0:
		to, err := root.Readlink(name)
		if err != nil {
			return err
		}
		if e.Link = plainLink(to); checkLink(at, e.Link) != nil {
			return w.Leave(name, "a link that leads out of the directory")
		}
	case !kind.IsRegular():
		return w.Leave(name, "no file, link or directory")
	}
	if len(m.Entries) == MaxEntries {
		return fmt.Errorf("%s holds more than %d files, links and directories: pack some of them into an archive", base, MaxEntries)
	}
	if e.IsFile() {
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		b, err := w.Store(name)
		if err != nil {
			return err
		}
		e.Mode, e.Digest, e.Size = info.Mode().Perm(), b.Digest, b.Size
	}
	if err := e.check(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.Entries = append(m.Entries, e)
	if e.Dir {
		return m.walk(root, base, at, w)
	}
	return nil
}
