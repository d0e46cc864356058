package simnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// streamWindow is how many bytes may be under way in one direction before the
// writer waits for the reader.
const streamWindow = 256 << 10

// stream is one end of a simulated TCP connection. What an end receives lies in
// its own queue; the other end writes into it. All fields are guarded by the
// network's mutex.
type stream struct {
	host          *Host
	local, remote netip.AddrPort
	peer          *stream
	wake          *sync.Cond // something here has changed

	queue                       []segment // received, or on the way here
	size                        int       // bytes in queue
	fin                         bool      // the peer has closed: after queue comes EOF
	err                         error     // this end is dead
	silent                      bool      // it died in a crash: the peer was not told
	readDeadline, writeDeadline deadline
}

// segment is what one Write sent, readable from its arrival on.
type segment struct {
	data    []byte
	arrival time.Time
}

// deadline is when calls give up, and the timer that wakes them then.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newStreamsLocked(a, b *Host, local, remote netip.AddrPort) (here, there *stream) {
	n := a.net
	here = &stream{host: a, local: local, remote: remote, wake: sync.NewCond(&n.mu)}
	there = &stream{host: b, local: remote, remote: local, wake: sync.NewCond(&n.mu)}
	here.peer, there.peer = there, here
	n.streams[here], n.streams[there] = struct{}{}, struct{}{}
	return here, there
}

// Read waits for bytes that have arrived over an open link.
func (s *stream) Read(p []byte) (int, error) {
	s.host.net.mu.Lock()
	defer s.host.net.mu.Unlock()
	for {
		switch {
		case s.err != nil:
			return 0, s.opError("read", s.err)
		case s.readDeadline.passed():
			return 0, s.opError("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case s.forgottenLocked():
			return 0, s.opError("read", syscall.ECONNRESET)
		case s.arrivedLocked():
			return s.takeLocked(p), nil
		case s.fin && len(s.queue) == 0 && s.linkLocked():
			return 0, io.EOF
		}
		s.wake.Wait()
	}
}

// linkLocked reports whether bytes get here from the peer.
func (s *stream) linkLocked() bool { return s.host.net.openLocked(s.peer.host, s.host) }

// forgottenLocked reports whether the peer's host crashed and is back: it answers
// our bytes with a reset.
func (s *stream) forgottenLocked() bool { return s.peer.silent && s.linkLocked() }

func (s *stream) arrivedLocked() bool {
	return len(s.queue) > 0 && !time.Now().Before(s.queue[0].arrival) && s.linkLocked()
}

// takeLocked moves arrived bytes into p and lets the writer go on.
func (s *stream) takeLocked(p []byte) int {
	n := copy(p, s.queue[0].data)
	s.queue[0].data = s.queue[0].data[n:]
	if len(s.queue[0].data) == 0 {
		s.queue = s.queue[1:]
	}
	s.size -= n
	s.peer.wake.Broadcast()
	return n
}

// Write puts bytes on the way, as many as the window allows at a time.
func (s *stream) Write(p []byte) (int, error) {
	n := s.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	written := 0
	for {
		room := streamWindow - s.peer.size
		switch {
		case s.err != nil:
			return written, s.opError("write", s.err)
		case s.writeDeadline.passed():
			return written, s.opError("write", os.ErrDeadlineExceeded)
		case s.forgottenLocked():
			return written, s.opError("write", syscall.ECONNRESET)
		case s.fin && s.linkLocked():
			return written, s.opError("write", syscall.EPIPE)
		case written == len(p):
			return written, nil
		case room > 0:
			part := p[written:min(len(p), written+room)]
			s.peer.receiveLocked(part, n.latency(s.host, s.peer.host))
			written += len(part)
			continue
		}
		s.wake.Wait()
	}
}

// receiveLocked puts a copy of data on its way into this end.
func (s *stream) receiveLocked(data []byte, delay time.Duration) {
	s.queue = append(s.queue, segment{append([]byte(nil), data...), time.Now().Add(delay)})
	s.size += len(data)
	s.wakeAfter(delay)
}

func (s *stream) wakeAfter(delay time.Duration) {
	time.AfterFunc(delay, func() {
		s.host.net.mu.Lock()
		defer s.host.net.mu.Unlock()
		s.wake.Broadcast()
	})
}

// Close ends the stream: the peer reads what is on the way, then EOF; its writes
// fail.
func (s *stream) Close() error {
	n := s.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.err != nil {
		return nil
	}
	s.dieLocked(net.ErrClosed)
	peer := s.peer
	time.AfterFunc(n.latency(s.host, peer.host), func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		peer.fin = true
		peer.wake.Broadcast()
	})
	return nil
}

// dieLocked ends this end alone; the peer is not told.
func (s *stream) dieLocked(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	delete(s.host.net.streams, s)
	s.readDeadline.set(time.Time{}, nil)
	s.writeDeadline.set(time.Time{}, nil)
	s.wake.Broadcast()
}

// resetLocked ends both ends at once.
func (s *stream) resetLocked() {
	s.dieLocked(syscall.ECONNRESET)
	s.peer.dieLocked(syscall.ECONNRESET)
}

// LocalAddr is this end's address.
func (s *stream) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr is the other end's address.
func (s *stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// SetDeadline sets both deadlines; the zero time means none.
func (s *stream) SetDeadline(t time.Time) error {
	return s.setDeadlines(t, &s.readDeadline, &s.writeDeadline)
}

// SetReadDeadline sets when reads give up; the zero time means never.
func (s *stream) SetReadDeadline(t time.Time) error { return s.setDeadlines(t, &s.readDeadline) }

// SetWriteDeadline sets when writes give up; the zero time means never.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.setDeadlines(t, &s.writeDeadline) }

func (s *stream) setDeadlines(t time.Time, which ...*deadline) error {
	s.host.net.mu.Lock()
	defer s.host.net.mu.Unlock()
	if s.err != nil {
		return s.opError("set deadline", s.err)
	}
	for _, d := range which {
		d.set(t, func() {
			s.host.net.mu.Lock()
			defer s.host.net.mu.Unlock()
			s.wake.Broadcast()
		})
	}
	s.wake.Broadcast()
	return nil
}

// set replaces the deadline and its timer.
func (d *deadline) set(at time.Time, wake func()) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), wake)
	}
}

func (s *stream) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}
