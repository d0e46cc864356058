package wasi

import (
	"io/fs"
	"os"

	"github.com/tetratelabs/wazero/sys"
)

// Ways of opening.
const (
	openCreate = 1 << iota
	openDirectory
	openExclusive
	openTruncate
)

func statOf(info fs.FileInfo) sys.Stat_t { return sys.NewStat_t(info) }

// pathOpen opens what a path names, after looking at what that is: a directory is opened in another way than a file.
func (c *call) pathOpen() errno {
	p, e := c.place(c.fd(0), 2)
	if e != ok {
		return e
	}
	how, wanted, flags := c.i32(4), rights(c.u64(5)), uint16(c.i32(7))
	follow := c.i32(1)&followLinks != 0
	switch {
	case how&openDirectory != 0 && how&(openCreate|openExclusive|openTruncate) != 0:
		return einval
	case how&openTruncate != 0 && p.d.base&rightPathSetSize == 0:
		return enotcapable
	}
	info, e := p.stat(follow && how&openExclusive == 0)
	var d *descriptor
	switch {
	case e == enoent && how&openCreate != 0:
		if p.slash {
			return eisdir
		}
		d, e = c.openFile(p, nil, how, wanted, flags)
	case e != ok:
		return e
	case how&(openCreate|openExclusive) == openCreate|openExclusive:
		return eexist
	case info.Mode()&fs.ModeSymlink != 0:
		return eloop
	case info.IsDir():
		d, e = p.openDir(how, wanted)
	case how&openDirectory != 0:
		return enotdir
	default:
		d, e = c.openFile(p, info, how, wanted, flags)
	}
	if e != ok {
		return e
	}
	fd, e := c.add(d)
	if e == ok {
		e = c.put32(8, fd)
	}
	if e != ok {
		d.close()
	}
	return e
}

// openDir opens a directory, for which nobody may ask to write.
func (p place) openDir(how uint32, wanted rights) (*descriptor, errno) {
	if how&(openCreate|openTruncate) != 0 || wanted&rightWrite != 0 {
		return nil, eisdir
	}
	root, err := p.root.OpenRoot(p.name)
	if err != nil {
		return nil, errnoOf(err)
	}
	return &descriptor{
		dir:  &directory{opened: root},
		base: dirRights & p.d.inheriting, inheriting: p.d.inheriting,
	}, ok
}

// openFile opens a file for what the rights say; before is what is there, nil if nothing. A program that asks for no right
// at all may do what its way of opening needs.
func (c *call) openFile(p place, before fs.FileInfo, how uint32, wanted rights, flags uint16) (*descriptor, errno) {
	base, mode := fileRights&p.d.inheriting, os.O_RDWR
	switch wanted & (rightRead | rightWrite) {
	case rightRead:
		mode = os.O_RDONLY
	case rightWrite:
		mode = os.O_WRONLY
	case 0:
		if how&(openCreate|openTruncate) == 0 && flags&flagAppend == 0 {
			mode = os.O_RDONLY
		}
	}
	switch mode {
	case os.O_RDONLY:
		base &^= rightWrite | rightAllocate | rightSetSize
	case os.O_WRONLY:
		base &^= rightRead
	}
	if how&openCreate != 0 {
		mode |= os.O_CREATE
	}
	if how&openExclusive != 0 {
		mode |= os.O_EXCL
	}
	if how&openTruncate != 0 {
		mode |= os.O_TRUNC
	}
	f, err := p.root.OpenFile(p.name, mode, 0o600)
	if err != nil {
		return nil, errnoOf(err)
	}
	d := &descriptor{file: f, flags: flags, base: base}
	if d.node, err = c.disk.opened(f, before); err != nil {
		d.close()
		return nil, errnoOf(err)
	}
	return d, ok
}
