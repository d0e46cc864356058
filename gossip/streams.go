package gossip

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// streams keeps track of every open stream of a transport. memberlist handles each stream on a goroutine that
// it does not wait for, with timeouts of 10 seconds; closing the streams makes a shutdown fast.
type streams struct {
	sift     *sift
	seal     seal
	incoming chan net.Conn // memberlist receives from it
	closed   chan struct{} // closed by close
	stop     chan struct{} // closed by wait, to end the accept loop
	loop     sync.WaitGroup

	mu   sync.Mutex
	open map[*stream]struct{} // nil once closed
}

// newStreams starts the accept loop, which receives from source once ready is closed. What lets does not let in is closed.
func newStreams(source <-chan net.Conn, ready <-chan struct{}, lets func(from net.Addr) bool, sift *sift, seal seal) *streams {
	s := &streams{
		sift:     sift,
		seal:     seal,
		incoming: make(chan net.Conn),
		closed:   make(chan struct{}),
		stop:     make(chan struct{}),
		open:     map[*stream]struct{}{},
	}
	s.loop.Go(func() { s.accept(source, ready, lets) })
	return s
}

// accept passes incoming streams on. After close it still receives, and closes what it receives, because the
// underlying listener may block until a stream is received.
func (s *streams) accept(source <-chan net.Conn, ready <-chan struct{}, lets func(from net.Addr) bool) {
	<-ready // closed by transport.open or Shutdown
	for {
		select {
		case raw := <-source:
			if !lets(raw.RemoteAddr()) {
				_ = raw.Close()
				continue
			}
			conn, err := s.track(raw, false)
			if err != nil {
				continue
			}
			select {
			case s.incoming <- conn:
			case <-s.closed:
			}
		case <-s.stop:
			return
		}
	}
}

// track records an open stream; asked says that this node has opened it. After close it closes the stream and
// returns an error.
func (s *streams) track(conn net.Conn, asked bool) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("gossip: stream to %s: this node is shutting down: %w", conn.RemoteAddr(), net.ErrClosed)
	}
	st := &stream{Conn: conn, owner: s, asked: asked}
	s.open[st] = struct{}{}
	return st, nil
}

// close closes all streams, and every stream that comes later.
func (s *streams) close() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	if open == nil {
		return
	}
	close(s.closed)
	for st := range open {
		_ = st.Conn.Close()
	}
}

// wait ends the accept loop. The underlying transport must be shut down before.
func (s *streams) wait() {
	close(s.stop)
	s.loop.Wait()
}

// stream is one open stream, which streams forgets when it is closed. memberlist reads one message from it, which
// passes the sift as a whole. Only one goroutine may read.
type stream struct {
	net.Conn
	owner *streams
	asked bool // this node has opened it

	read    bool      // the message was read from Conn
	err     error     // while it was read
	message []byte    // what is left of it
	rest    io.Reader // what follows it
}

// Read implements net.Conn.
func (st *stream) Read(b []byte) (int, error) {
	if !st.read {
		st.read = true
		st.message, st.err = st.letIn()
	}
	if st.err != nil {
		return 0, st.err
	}
	if len(st.message) > 0 {
		n := copy(b, st.message)
		st.message = st.message[n:]
		return n, nil
	}
	return st.rest.Read(b)
}

// letIn reads the message, and returns what is let in of it.
func (st *stream) letIn() ([]byte, error) {
	r := bufio.NewReader(st.Conn)
	if st.owner.seal.ring != nil {
		plain, err := st.owner.seal.openStream(r)
		if errors.Is(err, errUnsealed) {
			st.owner.sift.unsealed(st.RemoteAddr())
		}
		if err != nil {
			return nil, err
		}
		r = bufio.NewReader(bytes.NewReader(plain))
	}
	st.rest = r
	return st.owner.sift.stream(&recorder{r: r}, st.asked)
}

// Close implements net.Conn.
func (st *stream) Close() error {
	st.owner.mu.Lock()
	delete(st.owner.open, st)
	st.owner.mu.Unlock()
	return st.Conn.Close()
}
