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

// streamWindow is how many bytes may be on the way in one direction before the
// writer has to wait for the reader.
const streamWindow = 256 << 10

// stream is one end of a simulated TCP connection. Each end has a queue for what it receives, into which
// the other end writes. All fields are guarded by the network's mutex.
type stream struct {
	host          *Host
	local, remote netip.AddrPort
	peer          *stream
	wake          *sync.Cond // the state of this end, or of its link, has changed

	queue                       []segment // received, or on the way here
	size                        int       // bytes in queue
	fin                         bool      // the peer has closed its end; EOF follows the queue
	err                         error     // not nil if this end is closed
	silent                      bool      // this end was closed by a crash, so the peer was not told
	readDeadline, writeDeadline deadline
}

// segment holds the bytes of one Write, which can be read from their arrival on.
type segment struct {
	data    []byte
	arrival time.Time
}

// deadline is the time when calls give up, and the timer that wakes them then.
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

// Read implements net.Conn. It waits until bytes have arrived and the link is open.
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

// linkLocked reports whether the link from the peer to this end is open.
func (s *stream) linkLocked() bool { return s.host.net.openLocked(s.peer.host, s.host) }

// forgottenLocked reports whether the peer's host has crashed and was restarted, so that it answers
// with a reset.
func (s *stream) forgottenLocked() bool { return s.peer.silent && s.linkLocked() }

func (s *stream) arrivedLocked() bool {
	return len(s.queue) > 0 && !time.Now().Before(s.queue[0].arrival) && s.linkLocked()
}

// takeLocked copies arrived bytes into p and wakes the writer.
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

// Write implements net.Conn. It sends as many bytes at a time as the window allows.
func (s *stream) Write(p []byte) (int, error) {
	n := s.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	written := 0
	for {
		free := streamWindow - s.peer.size
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
		case free > 0:
			part := p[written:min(len(p), written+free)]
			s.peer.receiveLocked(part, n.latency(s.host, s.peer.host))
			written += len(part)
			continue
		}
		s.wake.Wait()
	}
}

// receiveLocked puts a copy of data into this end's queue; it arrives after delay.
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

// Close implements net.Conn. The peer reads what is on the way and then EOF; its writes
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

// dieLocked closes only this end; the peer is not told.
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

// resetLocked closes both ends at once.
func (s *stream) resetLocked() {
	s.dieLocked(syscall.ECONNRESET)
	s.peer.dieLocked(syscall.ECONNRESET)
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error {
	return s.setDeadlines(t, &s.readDeadline, &s.writeDeadline)
}

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error { return s.setDeadlines(t, &s.readDeadline) }

// SetWriteDeadline implements net.Conn.
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
