package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/serf/cmd/serf/command/agent"
	"github.com/hashicorp/serf/serf"
)

const (
	// DefaultRPCPort is the port that the serf command line asks by itself.
	DefaultRPCPort = 7373
	// leaveWait is how long "serf leave" waits for the owner to leave.
	leaveWait = 2 * time.Minute
	// lastAnswers is how long a shutdown waits for RPC answers under way.
	lastAnswers = time.Second
	// lastHandlers is how long a shutdown waits for RPC handlers to notice that
	// their client is gone; the slowest, a forced leave, takes up to 5 seconds.
	lastHandlers = 6 * time.Second
	// acceptPause is the rest after a failed accept. The agent retries at once,
	// which without file descriptors left would burn a core.
	acceptPause = 100 * time.Millisecond
)

// rpcServer is the RPC port: the agent's own server (AgentIPC) behind a listener
// of ours, whose connections look at each request first (rpc_filter.go).
type rpcServer struct {
	listener net.Listener // the real one
	life     *lifecycle
	stats    *counters
	ipc      *agent.AgentIPC
	events   limiter // of events with a name of ours

	mu        sync.Mutex
	conns     map[*rpcConn]bool     // all that may still have a handler: true while it works on a request
	listening map[*rpcConn]struct{} // those that have asked for events
	changed   chan struct{}         // capacity 1: conns has changed
	closing   bool                  // no further clients
	stopped   chan struct{}         // closed: the agent knows, too
}

// listenRPC opens the port. Nobody is served before serve.
func listenRPC(addr string, life *lifecycle, stats *counters) (*rpcServer, error) {
	host, port, err := splitAddr("rpc", addr, "127.0.0.1", DefaultRPCPort)
	if err != nil {
		return nil, err
	}
	ips, err := resolve(context.Background(), "rpc", host)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", joinHostPort(ips[0].AsSlice(), port))
	if err != nil {
		return nil, fmt.Errorf("gossip: listen for the serf command line: %w: choose another --rpc-addr, or stop what uses it", err)
	}
	return &rpcServer{
		listener:  l,
		life:      life,
		stats:     stats,
		conns:     map[*rpcConn]bool{},
		listening: map[*rpcConn]struct{}{},
		changed:   make(chan struct{}, 1),
		stopped:   make(chan struct{}),
	}, nil
}

// rpcListener is what AgentIPC accepts from.
type rpcListener struct {
	net.Listener
	server *rpcServer
}

// Accept waits for a client and puts the filter in front of it. When we close the
// listener the agent must not hear of it before it is told to stop: it would
// take it for an error and try again at once, for ever.
func (l rpcListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		rest := acceptPause
		if errors.Is(err, net.ErrClosed) {
			rest = lastHandlers + acceptPause
		}
		timer := time.NewTimer(rest)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.server.stopped:
		}
		return nil, err
	}
	c := newRPCConn(conn, l.server)
	l.server.admit(c)
	return c, nil
}

// admit notes a new client, or hangs up on it when it comes too late.
func (s *rpcServer) admit(c *rpcConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = false
	if s.closing {
		_ = c.Conn.Close() // its handler notices
	}
}

// note remembers whether a connection's handler is at work.
func (s *rpcServer) note(c *rpcConn, busy bool) {
	s.mu.Lock()
	if _, ok := s.conns[c]; ok {
		s.conns[c] = busy
	}
	s.mu.Unlock()
	s.signal()
}

// forget notes that a connection's handler will take no further request.
func (s *rpcServer) forget(c *rpcConn) {
	s.mu.Lock()
	delete(s.conns, c)
	delete(s.listening, c)
	s.mu.Unlock()
	s.signal()
}

func (s *rpcServer) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// listen notes that a client wants events.
func (s *rpcServer) listen(c *rpcConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening[c] = struct{}{}
}

// offer gives an event to all clients that want events. It never blocks.
func (s *rpcServer) offer(e serf.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.listening {
		c.events.offer(e)
	}
}

// count returns how many handlers there are, and how many are at work.
func (s *rpcServer) count() (all, busy int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.conns {
		if b {
			busy++
		}
	}
	return len(s.conns), busy
}

// wait waits until done is true of the handlers, at most so long.
func (s *rpcServer) wait(limit time.Duration, done func(all, busy int) bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for !done(s.count()) {
		select {
		case <-s.changed:
		case <-timer.C:
			return
		}
	}
}

// shutdown gives handlers at work a moment for their last answer, then hangs up on
// all clients and waits for the handlers: none should be in Serf when it goes
// down. Only then the agent's server is told, which waits for nobody.
func (s *rpcServer) shutdown() {
	s.wait(lastAnswers, func(_, busy int) bool { return busy == 0 })
	_ = s.listener.Close()
	s.mu.Lock()
	s.closing = true
	for c := range s.conns {
		_ = c.Conn.Close()
	}
	s.mu.Unlock()
	s.wait(lastHandlers, func(all, _ int) bool { return all == 0 })
	s.ipc.Shutdown()
	close(s.stopped)
}
