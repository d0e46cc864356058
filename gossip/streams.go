package gossip

import (
	"fmt"
	"net"
	"sync"
)

// streams knows every open stream of a transport. memberlist handles each one on
// a goroutine that it does not wait for, with timeouts of 10 seconds; closing the
// streams is what makes a shutdown prompt.
type streams struct {
	incoming chan net.Conn // what memberlist receives from
	closed   chan struct{} // closed by close
	stop     chan struct{} // closed by wait: the accept loop may end
	loop     sync.WaitGroup

	mu   sync.Mutex
	open map[*stream]struct{} // nil once closed
}

// newStreams starts the accept loop: from source, once ready is closed.
func newStreams(source <-chan net.Conn, ready <-chan struct{}) *streams {
	s := &streams{
		incoming: make(chan net.Conn),
		closed:   make(chan struct{}),
		stop:     make(chan struct{}),
		open:     map[*stream]struct{}{},
	}
	s.loop.Go(func() { s.accept(source, ready) })
	return s
}

// accept passes incoming streams on. After close it goes on receiving, and closes
// what it receives: the listener beneath may hang on a stream nobody takes.
func (s *streams) accept(source <-chan net.Conn, ready <-chan struct{}) {
	<-ready // open, or Shutdown
	for {
		select {
		case raw := <-source:
			conn, err := s.track(raw)
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

// track notes an open stream. When all are closed already, so is this one.
func (s *streams) track(conn net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("gossip: stream to %s: this node is shutting down: %w", conn.RemoteAddr(), net.ErrClosed)
	}
	st := &stream{Conn: conn, owner: s}
	s.open[st] = struct{}{}
	return st, nil
}

// close closes all streams, and any that still comes.
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

// wait ends the accept loop. The transport beneath must be shut down before.
func (s *streams) wait() {
	close(s.stop)
	s.loop.Wait()
}

// stream is one open stream; closing it makes its owner forget it.
type stream struct {
	net.Conn
	owner *streams
}

// Close closes the stream.
func (st *stream) Close() error {
	st.owner.mu.Lock()
	delete(st.owner.open, st)
	st.owner.mu.Unlock()
	return st.Conn.Close()
}
