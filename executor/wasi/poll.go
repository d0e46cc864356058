package wasi

import (
	"math"
	"time"
)

// Layout of subscriptions and events.
const (
	subscriptionSize = 48
	eventSize        = 32

	subscribeClock = 0
	subscribeRead  = 1
	subscribeWrite = 2
)

// subscription is one thing that a program waits for.
type subscription struct {
	user []byte
	kind byte
	err  errno
	left time.Duration // of a clock: until it is due
	size uint64        // of a file: how much there is to read
}

// pollOneoff waits until at least one subscription has something to tell. Files and streams always have: none is a
// pipe that another program fills.
func (c *call) pollOneoff() errno {
	n := c.i32(2)
	if n == 0 || n > math.MaxInt32/subscriptionSize {
		return einval
	}
	in, e := c.at(c.i32(0), n*subscriptionSize)
	if e != ok {
		return e
	}
	out, e := c.at(c.i32(1), n*eventSize)
	if e != ok {
		return e
	}
	subs := make([]subscription, n)
	wait := time.Duration(math.MaxInt64)
	for i := range subs {
		subs[i], e = c.subscription(in[i*subscriptionSize:][:subscriptionSize])
		if e != ok {
			return e
		}
		wait = min(wait, subs[i].left)
	}
	if wait > 0 {
		c.sleep(wait)
	}
	var told uint32
	for _, s := range subs {
		if s.left > max(wait, 0) {
			continue
		}
		b := out[told*eventSize:][:eventSize]
		clear(b)
		copy(b, s.user)
		le.PutUint16(b[8:], uint16(s.err))
		b[10] = s.kind
		le.PutUint64(b[16:], s.size)
		told++
	}
	return c.put32(3, told)
}

func (c *call) subscription(b []byte) (subscription, errno) {
	// The events may be written to where the subscriptions are.
	s := subscription{user: append([]byte(nil), b[:8]...), kind: b[8]}
	switch s.kind {
	case subscribeClock:
		e := s.clock(b[16:])
		return s, e
	case subscribeRead, subscribeWrite:
		d, e := c.get(int32(le.Uint32(b[16:])))
		switch {
		case e != ok:
			s.err = e
		case d.dir != nil:
			s.err = ebadf
		case s.kind == subscribeWrite:
			s.size = 1
		case d.file != nil:
			s.size = d.unread()
		}
		return s, ok
	}
	return s, einval
}

// clock reads when a clock is due: after a while, or at a point in time.
func (s *subscription) clock(b []byte) errno {
	const realtime, monotonic, absolute = 0, 1, 1
	id, at, flags := le.Uint32(b), le.Uint64(b[8:]), le.Uint16(b[24:])
	if flags > absolute {
		return einval
	}
	left := int64(min(at, math.MaxInt64))
	switch {
	case id != realtime && id != monotonic:
		s.err, left = einval, 0
	case flags&absolute == 0:
	case id == realtime:
		left -= time.Now().UnixNano()
	default:
		left -= Nanotime()
	}
	s.left = time.Duration(max(left, 0))
	return ok
}

// unread returns how many bytes of a file lie before the place where the next one is read.
func (d *descriptor) unread() uint64 {
	info, err := d.file.Stat()
	if err != nil {
		return 0
	}
	at, err := d.file.Seek(0, 1)
	if err != nil {
		return 0
	}
	return uint64(max(info.Size()-at, 0))
}
