package wasi

import (
	"errors"
	"io"
	"math"
	"time"
)

// vectors calls f with each part of the program's memory that a list of vectors names: where, and how many. It ends
// when f moved fewer bytes than it was given, and writes how many were moved in all to where the argument n points.
func (c *call) vectors(n int, f func([]byte) (int, error)) errno {
	count := c.i32(2)
	if count > math.MaxInt32/8 {
		return einval
	}
	list, e := c.at(c.i32(1), count*8)
	if e != ok {
		return e
	}
	var sum uint32
	for ; len(list) > 0; list = list[8:] {
		b, e := c.at(le.Uint32(list), le.Uint32(list[4:]))
		if e != ok {
			return e
		}
		if len(b) == 0 {
			continue
		}
		moved, err := f(b)
		sum += uint32(moved)
		if err != nil && sum == 0 && !errors.Is(err, io.EOF) {
			return errnoOf(err)
		}
		if moved < len(b) {
			break
		}
	}
	return c.put32(n, sum)
}

func (c *call) fdRead() errno {
	d, e := c.get(c.fd(0))
	switch {
	case e != ok:
		return e
	case d.dir != nil:
		return eisdir
	}
	if e := d.allows(rightRead); e != ok {
		return e
	}
	if d.file == nil {
		return c.put32(3, 0)
	}
	return c.vectors(3, d.file.Read)
}

func (c *call) fdWrite() errno {
	d, e := c.get(c.fd(0))
	switch {
	case e != ok:
		return e
	case d.dir != nil:
		return eisdir
	}
	if e := d.allows(rightWrite); e != ok {
		return e
	}
	if d.out != nil {
		return c.vectors(3, d.out.Write)
	}
	whence := io.SeekCurrent
	if d.flags&flagAppend != 0 {
		whence = io.SeekEnd
	}
	at, err := d.file.Seek(0, whence)
	if err != nil {
		return errnoOf(err)
	}
	return c.vectors(3, func(b []byte) (int, error) {
		n, err := d.node.write(b, at, d.file.Write)
		at += int64(n)
		return n, err
	})
}

func (c *call) fdPread() errno {
	d, e := c.regular(rightRead)
	if e != ok {
		return e
	}
	at := int64(c.u64(3))
	return c.vectors(4, func(b []byte) (int, error) {
		n, err := d.file.ReadAt(b, at)
		at += int64(n)
		return n, err
	})
}

// fdPwrite writes where it is told to, whether the descriptor appends or not, as POSIX has it.
func (c *call) fdPwrite() errno {
	d, e := c.regular(rightWrite)
	if e != ok {
		return e
	}
	at := int64(c.u64(3))
	return c.vectors(4, func(b []byte) (int, error) {
		n, err := d.node.write(b, at, func(b []byte) (int, error) { return d.file.WriteAt(b, at) })
		at += int64(n)
		return n, err
	})
}

func (c *call) fdSeek() errno { return c.seek(int64(c.u64(1)), c.i32(2), 3) }

func (c *call) fdTell() errno { return c.seek(0, io.SeekCurrent, 1) }

func (c *call) seek(offset int64, whence uint32, result int) errno {
	d, e := c.regular(rightSeek)
	switch {
	case e != ok:
		return e
	case whence > io.SeekEnd:
		return einval
	}
	at, err := d.file.Seek(offset, int(whence))
	if err != nil {
		return errnoOf(err)
	}
	return c.put64(result, uint64(at))
}

// fdSync has nothing to do: see the flags of a descriptor.
func (c *call) fdSync() errno {
	_, e := c.get(c.fd(0))
	return e
}

// fdAdvise checks the advice, and leaves it at that.
func (c *call) fdAdvise() errno {
	const known = 6
	_, e := c.regular(rightAdvise)
	switch {
	case e != ok:
		return e
	case c.i32(3) >= known || int64(c.u64(1)) < 0 || int64(c.u64(2)) < 0:
		return einval
	}
	return ok
}

// fdAllocate makes a file at least so long. It promises no room on the disk.
func (c *call) fdAllocate() errno {
	d, e := c.regular(rightAllocate)
	if e != ok {
		return e
	}
	offset, size := c.u64(1), c.u64(2)
	if size == 0 || offset > math.MaxInt64 || size > math.MaxInt64-offset {
		return einval
	}
	info, err := d.file.Stat()
	if err != nil {
		return errnoOf(err)
	}
	if end := int64(offset + size); end > info.Size() {
		return d.node.truncate(d.file, end)
	}
	return ok
}

func (c *call) fdFilestatSetSize() errno {
	d, e := c.regular(rightSetSize)
	switch {
	case e != ok:
		return e
	case c.u64(1) > math.MaxInt64:
		return einval
	}
	return d.node.truncate(d.file, int64(c.u64(1)))
}

// times are two points in time; the zero time leaves one as it is.
type times struct{ access, modified time.Time }

// times reads two times and how they are meant, from the nth argument on.
func (c *call) times(n int) (times, errno) {
	const (
		setAccess = 1 << iota
		accessNow
		setModified
		modifiedNow
		known
	)
	flags := c.i32(n + 2)
	if flags >= known || flags&(setAccess|accessNow) == setAccess|accessNow || flags&(setModified|modifiedNow) == setModified|modifiedNow {
		return times{}, einval
	}
	one := func(given uint64, set, now bool) time.Time {
		switch {
		case set:
			return time.Unix(0, int64(given))
		case now:
			return time.Now()
		}
		return time.Time{}
	}
	return times{
		access:   one(c.u64(n), flags&setAccess != 0, flags&accessNow != 0),
		modified: one(c.u64(n+1), flags&setModified != 0, flags&modifiedNow != 0),
	}, ok
}

func (c *call) fdFilestatSetTimes() errno {
	d, e := c.get(c.fd(0))
	if e != ok {
		return e
	}
	t, e := c.times(1)
	switch {
	case e != ok:
		return e
	case d.dir != nil:
		root, e := d.dir.root()
		if e != ok {
			return e
		}
		return errnoOf(root.Chtimes(".", t.access, t.modified))
	case d.file == nil || d.base&rightSetTimes == 0:
		return ebadf
	}
	return errnoOf(setTimes(d.file, t))
}
