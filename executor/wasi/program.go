package wasi

import (
	"context"
	"io"
	"os"
	"time"
)

// maxDescriptors bounds what a program may hold open at once. Each is a descriptor or two of the process.
const maxDescriptors = 4096

// Program holds the descriptors of one run of a module: 0 to 2 are its standard streams, 3 is its "/".
type Program struct {
	fds  []*descriptor // by number; nil is closed
	top  *directory    // its "/"
	disk quota

	sleep func(time.Duration)
}

// Stdio is what a program reads and writes by itself. Stdin may be nil, which is an empty one.
type Stdio struct {
	In       *os.File
	Out, Err io.Writer
}

// NewProgram returns a program that has opened nothing but its streams and "/". The function root opens the
// directory; it is called when the program first needs more of it than that it is there, because a module that only
// computes needs none on the disk. A program that wants to add more than disk bytes to it is stopped. The caller closes
// the program and what is in Stdio.
func NewProgram(stdio Stdio, disk int64, root func() (*os.Root, error)) *Program {
	p := &Program{top: &directory{open: root}, disk: quota{limit: disk, files: map[inode]*node{}}, sleep: time.Sleep}
	p.fds = []*descriptor{
		{stream: true, file: stdio.In, borrowed: true, base: inputRights},
		{stream: true, out: stdio.Out, base: streamRights},
		{stream: true, out: stdio.Err, base: streamRights},
		{dir: p.top, borrowed: true, preopen: "/", base: dirRights, inheriting: dirRights | fileRights},
	}
	if stdio.In != nil {
		p.fds[0].stream = false
	}
	return p
}

// OverDisk reports whether the program was stopped since it wanted more of the disk than it may have.
func (p *Program) OverDisk() bool { return p.disk.over }

type programKey struct{}

// Context returns the context with which the program's module must be instantiated.
func (p *Program) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, programKey{}, p)
}

// Close closes what the program has left open.
func (p *Program) Close() {
	for _, d := range p.fds {
		if d != nil {
			d.close()
		}
	}
	p.fds = nil
	p.top.close()
}

// began is the zero of the monotonic clock.
var began = time.Now()

// Nanotime is the monotonic clock that polling waits by: nanoseconds since this process started. A module that polls
// must be given it as its own.
func Nanotime() int64 { return int64(time.Since(began)) }

// get returns the descriptor with a number.
func (p *Program) get(fd int32) (*descriptor, errno) {
	if fd < 0 || int(fd) >= len(p.fds) || p.fds[fd] == nil {
		return nil, ebadf
	}
	return p.fds[fd], ok
}

// add gives a descriptor the lowest free number.
func (p *Program) add(d *descriptor) (uint32, errno) {
	for i, old := range p.fds {
		if old == nil {
			p.fds[i] = d
			return uint32(i), ok
		}
	}
	if len(p.fds) >= maxDescriptors {
		return 0, emfile
	}
	p.fds = append(p.fds, d)
	return uint32(len(p.fds) - 1), ok
}

func (c *call) fdClose() errno {
	d, e := c.get(c.fd(0))
	if e != ok {
		return e
	}
	c.fds[c.fd(0)] = nil
	d.close()
	return ok
}

// fdRenumber moves a descriptor to the number of another, which is closed. Both must be open.
func (c *call) fdRenumber() errno {
	from, e := c.get(c.fd(0))
	if e != ok {
		return e
	}
	to, e := c.get(c.fd(1))
	if e != ok || from == to {
		return e
	}
	c.fds[c.fd(0)], c.fds[c.fd(1)] = nil, from
	to.close()
	return ok
}

// sock answers for all functions of sockets: a program is given none.
func (c *call) sock() errno {
	if _, e := c.get(c.fd(0)); e != ok {
		return e
	}
	return enotsock
}
