package wasi

import (
	"errors"
	"io/fs"
	"os"

	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"
)

// directory is an open directory: what lies in it is within reach, and nothing else.
type directory struct {
	open   func() (*os.Root, error)
	opened *os.Root
	list   []entry // as of the last listing from its start
}

// entry is a name in a directory. Its inode is looked up when it is told, since most listings are not read to the end.
type entry struct {
	name string
	typ  byte
}

func (d *directory) root() (*os.Root, errno) {
	if d.opened == nil {
		root, err := d.open()
		if err != nil {
			return nil, errnoOf(err)
		}
		d.opened = root
	}
	return d.opened, ok
}

func (d *directory) close() {
	if d.opened != nil {
		d.opened.Close()
		d.opened = nil
	}
}

func (d *directory) stat() (sys.Stat_t, errno) {
	root, e := d.root()
	if e != ok {
		return sys.Stat_t{}, e
	}
	info, err := root.Stat(".")
	if err != nil {
		return sys.Stat_t{}, errnoOf(err)
	}
	return sys.NewStat_t(info), ok
}

// parentInode returns the inode of "..", or that of the directory itself if it is the program's "/".
// A libc that finds 0 asks for the inode by name, and ".." is no name that a directory's descriptor leads to.
func (c *call) parentInode(d *directory) (uint64, errno) {
	self, e := d.stat()
	if e != ok {
		return 0, e
	}
	top, e := c.top.stat()
	if e != ok || top.Ino == self.Ino && top.Dev == self.Dev {
		return self.Ino, e
	}
	f, err := d.opened.Open(".")
	if err != nil {
		return 0, errnoOf(err)
	}
	defer f.Close()
	var up unix.Stat_t
	if err := unix.Fstatat(int(f.Fd()), "..", &up, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, errnoOf(err)
	}
	return up.Ino, ok
}

// read lists the directory again.
func (d *directory) read() errno {
	root, e := d.root()
	if e != ok {
		return e
	}
	f, err := root.Open(".")
	if err != nil {
		return errnoOf(err)
	}
	defer f.Close()
	found, err := f.ReadDir(-1)
	if err != nil {
		return errnoOf(err)
	}
	d.list = append(d.list[:0], entry{".", typeDirectory}, entry{"..", typeDirectory})
	for _, e := range found {
		d.list = append(d.list, entry{e.Name(), fileType(e.Type())})
	}
	return ok
}

func (c *call) inode(d *directory, e entry) (uint64, errno) {
	if e.name == ".." {
		return c.parentInode(d)
	}
	info, err := d.opened.Lstat(e.name)
	if err != nil {
		return 0, errnoOf(err)
	}
	return sys.NewStat_t(info).Ino, ok
}

// fdReaddir fills a buffer with entries from the cookie on, which is the number of an entry. The last one may be cut:
// then the program asks again, with a larger buffer or from that entry on. A buffer that is not full is the end.
func (c *call) fdReaddir() errno {
	const head = 24
	fd, e := c.get(c.fd(0))
	switch {
	case e != ok:
		return e
	case fd.dir == nil:
		return enotdir
	}
	buf, e := c.bytes(1)
	if e != ok {
		return e
	}
	d, cookie := fd.dir, c.u64(3)
	if cookie == 0 || d.list == nil {
		if e := d.read(); e != ok {
			return e
		}
	}
	rest := buf
	for ; cookie < uint64(len(d.list)) && len(rest) > 0; cookie++ {
		next := d.list[cookie]
		ino, e := c.inode(d, next)
		if e == enoent {
			continue // removed since the listing began
		} else if e != ok {
			return e
		}
		var h [head]byte
		le.PutUint64(h[:], cookie+1)
		le.PutUint64(h[8:], ino)
		le.PutUint32(h[16:], uint32(len(next.name)))
		h[20] = next.typ
		rest = rest[copy(rest, h[:]):]
		rest = rest[copy(rest, next.name):]
	}
	return c.put32(4, uint32(len(buf)-len(rest)))
}

// at opens the directory that holds the last element of a name, for a step that the kernel takes there. The element is
// "." when the name ends in a way that leads elsewhere.
func at(root *os.Root, name string) (*os.File, string, errno) {
	dir, base := ".", name
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			dir, base = name[:i], name[i+1:]
			break
		}
	}
	if base == "." || base == ".." {
		dir, base = name, "."
	}
	f, err := root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	return f, base, errnoOf(err)
}

func exists(root *os.Root, name string) (fs.FileInfo, errno) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, enoent
	}
	return info, errnoOf(err)
}
