package wasi

import (
	"io"
	"io/fs"
	"os"

	"github.com/tetratelabs/wazero/sys"
)

// rights say what a descriptor is for. They were dropped from later versions of WASI; here they tell a program how a
// file was opened, and can be given up.
type rights uint64

const (
	rightDatasync rights = 1 << iota
	rightRead
	rightSeek
	rightSetFlags
	rightSync
	rightTell
	rightWrite
	rightAdvise
	rightAllocate
	rightCreateDirectory
	rightCreateFile
	rightLinkSource
	rightLinkTarget
	rightOpen
	rightReaddir
	rightReadlink
	rightRenameSource
	rightRenameTarget
	rightPathStat
	rightPathSetSize
	rightPathSetTimes
	rightStat
	rightSetSize
	rightSetTimes
	rightSymlink
	rightRemoveDirectory
	rightUnlink
	rightPoll

	fileRights = rightDatasync | rightRead | rightSeek | rightSetFlags | rightSync | rightTell | rightWrite | rightAdvise |
		rightAllocate | rightStat | rightSetSize | rightSetTimes | rightPoll
	dirRights = rightDatasync | rightSetFlags | rightSync | rightCreateDirectory | rightCreateFile | rightLinkSource |
		rightLinkTarget | rightOpen | rightReaddir | rightReadlink | rightRenameSource | rightRenameTarget | rightPathStat |
		rightPathSetSize | rightPathSetTimes | rightStat | rightSetTimes | rightSymlink | rightRemoveDirectory | rightUnlink
	inputRights = fileRights &^ (rightWrite | rightAllocate | rightSetSize | rightSetTimes)
	// A libc takes what can neither seek nor tell, and is a character device, for a terminal.
	streamRights = rightDatasync | rightSetFlags | rightSync | rightWrite | rightStat | rightPoll
)

// Flags of a descriptor. Writing through to the disk is meaningless here, because a job's directory does
// not outlive the job, and its outputs are synced when they are stored. Such a flag is remembered and reported.
const (
	flagAppend   = 1 << 0
	flagDsync    = 1 << 1
	flagNonblock = 1 << 2
	flagRsync    = 1 << 3
	flagSync     = 1 << 4
)

// Types of files.
const (
	typeUnknown   = 0
	typeBlock     = 1
	typeChar      = 2
	typeDirectory = 3
	typeRegular   = 4
	typeSymlink   = 7
)

func fileType(m fs.FileMode) byte {
	switch {
	case m.IsDir():
		return typeDirectory
	case m.IsRegular():
		return typeRegular
	case m&fs.ModeSymlink != 0:
		return typeSymlink
	case m&fs.ModeCharDevice != 0:
		return typeChar
	case m&fs.ModeDevice != 0:
		return typeBlock
	}
	return typeUnknown
}

// descriptor is an open file (file is set), an open directory (dir), a stream for output (out), or an empty one for
// input (stream alone).
type descriptor struct {
	stream   bool
	file     *os.File
	node     *node // of a file in the program's directory
	borrowed bool  // somebody else closes it: the caller the file of stdin, the program its "/"
	out      io.Writer
	dir      *directory
	preopen  string // the name of a directory that was open from the start

	flags            uint16
	base, inheriting rights
}

func (d *descriptor) close() {
	switch {
	case d.borrowed:
	case d.file != nil:
		d.file.Close()
		d.node.closed()
	case d.dir != nil:
		d.dir.close()
	}
}

// allows refuses what a descriptor was not opened for, or has given up, as POSIX does.
func (d *descriptor) allows(r rights) errno {
	if d.base&r == 0 {
		return ebadf
	}
	return ok
}

// regular returns a call's descriptor if it is that of a file, and has a right.
func (c *call) regular(r rights) (*descriptor, errno) {
	d, e := c.get(c.fd(0))
	switch {
	case e != ok:
		return nil, e
	case d.dir != nil:
		return nil, ebadf
	case d.file == nil:
		return nil, espipe
	}
	return d, d.allows(r)
}

// stat describes what the descriptor refers to.
func (d *descriptor) stat() (sys.Stat_t, errno) {
	switch {
	case d.file != nil:
		info, err := d.file.Stat()
		if err != nil {
			return sys.Stat_t{}, errnoOf(err)
		}
		return sys.NewStat_t(info), ok
	case d.dir != nil:
		return d.dir.stat()
	}
	return sys.Stat_t{Mode: fs.ModeIrregular, Nlink: 1}, ok
}

// fileType needs no directory on the disk to say what "/" is, which every Go program asks at its start.
func (d *descriptor) fileType() (byte, errno) {
	if d.dir != nil {
		return typeDirectory, ok
	}
	st, e := d.stat()
	return fileType(st.Mode), e
}

func (c *call) fdFdstatGet() errno {
	d, e := c.get(c.fd(0))
	if e != ok {
		return e
	}
	typ, e := d.fileType()
	if e != ok {
		return e
	}
	b, e := c.at(c.i32(1), 24)
	if e != ok {
		return e
	}
	clear(b)
	b[0] = typ
	le.PutUint16(b[2:], d.flags)
	le.PutUint64(b[8:], uint64(d.base))
	le.PutUint64(b[16:], uint64(d.inheriting))
	return ok
}

// fdFdstatSetFlags changes whether writes append, and whether a read may wait. Neither makes sense for a directory, and
// how writes reach the disk can't be changed later.
func (c *call) fdFdstatSetFlags() errno {
	d, e := c.get(c.fd(0))
	flags := uint16(c.i32(1))
	switch {
	case e != ok:
		return e
	case d.dir != nil:
		return ebadf
	case flags&^(flagAppend|flagNonblock) != 0:
		return einval
	}
	d.flags = d.flags&^(flagAppend|flagNonblock) | flags
	return ok
}

// fdFdstatSetRights gives up rights. None can be gained.
func (c *call) fdFdstatSetRights() errno {
	d, e := c.get(c.fd(0))
	base, inheriting := rights(c.u64(1)), rights(c.u64(2))
	switch {
	case e != ok:
		return e
	case base&^d.base != 0 || inheriting&^d.inheriting != 0:
		return enotcapable
	}
	d.base, d.inheriting = base, inheriting
	return ok
}

func (c *call) fdFilestatGet() errno {
	d, e := c.get(c.fd(0))
	if e != ok {
		return e
	}
	st, e := d.stat()
	if e != ok {
		return e
	}
	return c.putFilestat(1, &st)
}

// putFilestat writes what is known of a file to where the nth argument points.
func (c *call) putFilestat(n int, st *sys.Stat_t) errno {
	b, e := c.at(c.i32(n), 64)
	if e != ok {
		return e
	}
	clear(b)
	le.PutUint64(b, st.Dev)
	le.PutUint64(b[8:], st.Ino)
	b[16] = fileType(st.Mode)
	le.PutUint64(b[24:], st.Nlink)
	le.PutUint64(b[32:], uint64(st.Size))
	le.PutUint64(b[40:], uint64(st.Atim))
	le.PutUint64(b[48:], uint64(st.Mtim))
	le.PutUint64(b[56:], uint64(st.Ctim))
	return ok
}

func (c *call) fdPrestatGet() errno {
	d, e := c.get(c.fd(0))
	switch {
	case e != ok:
		return e
	case d.preopen == "":
		return ebadf
	}
	b, e := c.at(c.i32(1), 8)
	if e != ok {
		return e
	}
	clear(b) // the type: a directory
	le.PutUint32(b[4:], uint32(len(d.preopen)))
	return ok
}

func (c *call) fdPrestatDirName() errno {
	d, e := c.get(c.fd(0))
	switch {
	case e != ok:
		return e
	case d.dir == nil:
		return enotdir
	case d.preopen == "":
		return ebadf
	}
	b, e := c.bytes(1)
	if e != ok {
		return e
	}
	if len(b) < len(d.preopen) {
		return enametoolong
	}
	copy(b, d.preopen)
	return ok
}
