package wasi

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// place is what a descriptor and a path name together.
type place struct {
	d     *descriptor
	root  *os.Root
	name  string // without trailing slashes
	slash bool   // it had some: it must be a directory
}

// place reads a path from the argument n on, relative to the directory whose descriptor is given.
func (c *call) place(fd int32, n int) (place, errno) {
	d, e := c.get(fd)
	switch {
	case e != ok:
		return place{}, e
	case d.dir == nil:
		return place{}, enotdir
	}
	p, e := c.path(n)
	switch {
	case e != ok:
		return place{}, e
	case p == "":
		return place{}, enoent
	case strings.IndexByte(p, 0) >= 0:
		return place{}, einval
	}
	root, e := d.dir.root()
	name := strings.TrimRight(p, "/")
	return place{d: d, root: root, name: name, slash: name != p}, e
}

// stat looks at what the place names. A link is followed if that is wanted, or a slash says so.
func (p place) stat(follow bool) (fs.FileInfo, errno) {
	look := p.root.Lstat
	if follow || p.slash {
		look = p.root.Stat
	}
	info, err := look(p.name)
	if err == nil && p.slash && !info.IsDir() {
		return nil, enotdir
	}
	return info, errnoOf(err)
}

const followLinks = 1

func (c *call) pathFilestatGet() errno {
	p, e := c.place(c.fd(0), 2)
	if e != ok {
		return e
	}
	info, e := p.stat(c.i32(1)&followLinks != 0)
	if e != ok {
		return e
	}
	st := statOf(info)
	return c.putFilestat(4, &st)
}

func (c *call) pathFilestatSetTimes() errno {
	p, e := c.place(c.fd(0), 2)
	if e != ok {
		return e
	}
	t, e := c.times(4)
	if e != ok {
		return e
	}
	follow := c.i32(1)&followLinks != 0
	if _, e := p.stat(follow); e != ok {
		return e
	}
	if follow || p.slash {
		return errnoOf(p.root.Chtimes(p.name, t.access, t.modified))
	}
	dir, base, e := at(p.root, p.name)
	if e != ok {
		return e
	}
	defer dir.Close()
	return errnoOf(setTimesAt(dir, base, t))
}

func (c *call) pathCreateDirectory() errno {
	p, e := c.place(c.fd(0), 1)
	if e != ok {
		return e
	}
	return c.naming(errnoOf(p.root.Mkdir(p.name, 0o700)))
}

func (c *call) pathRemoveDirectory() errno {
	p, e := c.place(c.fd(0), 1)
	if e != ok {
		return e
	}
	info, e := exists(p.root, p.name)
	switch {
	case e != ok:
		return e
	case !info.IsDir():
		return enotdir
	case path.Base(p.name) == "." || path.Base(p.name) == "..":
		return einval
	}
	return c.remove(p, info)
}

func (c *call) pathUnlinkFile() errno {
	p, e := c.place(c.fd(0), 1)
	if e != ok {
		return e
	}
	info, e := exists(p.root, p.name)
	switch {
	case e != ok:
		return e
	case info.IsDir():
		return eisdir
	case p.slash:
		return enotdir
	}
	return c.remove(p, info)
}

func (c *call) remove(p place, info fs.FileInfo) errno {
	if err := p.root.Remove(p.name); err != nil {
		return errnoOf(err)
	}
	c.disk.removed(info)
	return ok
}

// naming counts the name that a step has made, if it went well.
func (c *call) naming(e errno) errno {
	if e != ok {
		return e
	}
	return errnoOf(c.disk.named())
}

// fresh checks that a name with a trailing slash is not to become anything but a directory.
func (p place) fresh() errno {
	if !p.slash {
		return ok
	}
	if _, e := exists(p.root, p.name); e != ok {
		return e // mostly that there is no such directory
	}
	return eexist
}

// pathSymlink makes a link. Its target may not exist, but it may not be absolute: nothing absolute is ever in reach.
func (c *call) pathSymlink() errno {
	target, e := c.path(0)
	if e != ok {
		return e
	}
	p, e := c.place(c.fd(2), 3)
	switch {
	case e != ok:
		return e
	case target == "":
		return enoent
	case target[0] == '/':
		return eperm
	}
	if e := p.fresh(); e != ok {
		return e
	}
	return c.naming(errnoOf(p.root.Symlink(target, p.name)))
}

// pathReadlink returns as much of a link's target as there is room for.
func (c *call) pathReadlink() errno {
	p, e := c.place(c.fd(0), 1)
	if e != ok {
		return e
	}
	buf, e := c.bytes(3)
	if e != ok {
		return e
	}
	if p.slash {
		_, e := p.stat(true)
		if e == ok {
			e = einval
		}
		return e
	}
	target, err := p.root.Readlink(p.name)
	if err != nil {
		return errnoOf(err)
	}
	return c.put32(5, uint32(copy(buf, target)))
}

// pathLink gives a file another name. A link is linked itself: following it is not supported.
func (c *call) pathLink() errno {
	from, e := c.place(c.fd(0), 2)
	if e != ok {
		return e
	}
	to, e := c.place(c.fd(4), 5)
	switch {
	case e != ok:
		return e
	case c.i32(1)&followLinks != 0:
		return einval
	}
	if _, e := from.stat(false); e != ok {
		return e
	}
	if e := to.fresh(); e != ok {
		return e
	}
	return c.naming(between(from, to, func(dir int, name string, toDir int, toName string) error {
		return unix.Linkat(dir, name, toDir, toName, 0)
	}))
}

func (c *call) pathRename() errno {
	from, e := c.place(c.fd(0), 1)
	if e != ok {
		return e
	}
	to, e := c.place(c.fd(3), 4)
	if e != ok {
		return e
	}
	info, e := exists(from.root, from.name)
	switch {
	case e != ok:
		return e
	case (from.slash || to.slash) && !info.IsDir():
		return enotdir
	}
	replaced, there := exists(to.root, to.name)
	e = between(from, to, unix.Renameat)
	if e == ok && there == ok && !os.SameFile(info, replaced) {
		c.disk.removed(replaced)
	}
	return e
}

// between takes a step that concerns two places.
func between(from, to place, step func(dir int, name string, toDir int, toName string) error) errno {
	dir, name, e := at(from.root, from.name)
	if e != ok {
		return e
	}
	defer dir.Close()
	toDir, toName, e := at(to.root, to.name)
	if e != ok {
		return e
	}
	defer toDir.Close()
	return errnoOf(step(int(dir.Fd()), name, int(toDir.Fd()), toName))
}
