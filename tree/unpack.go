package tree

import (
	"fmt"
	"os"
	"path"
)

// Unpack makes what the manifest says in a directory below a root, which it makes unless it is there: the directories, then
// all files by the given function, which makes each at [Entry.At] of dir, and the links last, so that nothing is
// written through one of them. A link takes the place of a file or a link that is there.
func (m *Manifest) Unpack(root *os.Root, dir string, make func(files []*Entry) error) error {
	if err := root.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var files, links []*Entry
	for i := range m.Entries {
		e := &m.Entries[i]
		switch {
		case e.Link != "":
			links = append(links, e)
		case e.Dir:
			if err := makeDir(root, e.At(dir)); err != nil {
				return err
			}
		default:
			files = append(files, e)
		}
	}
	if err := make(files); err != nil {
		return err
	}
	for _, e := range links {
		name := e.At(dir)
		if info, err := root.Lstat(name); err == nil && !info.IsDir() {
			if err := root.Remove(name); err != nil {
				return err
			}
		}
		if err := root.Symlink(e.Link, name); err != nil {
			return err
		}
	}
	return nil
}

// At is the path of the entry where the directory of its manifest is dir.
func (e *Entry) At(dir string) string { return path.Join(dir, e.Path) }

// makeDir makes a directory unless it is there. A link that is in its place would lead what is in the directory elsewhere.
func makeDir(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is there, and is no directory", name)
	}
	return root.Mkdir(name, 0o777)
}
