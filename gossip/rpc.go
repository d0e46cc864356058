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
	// defaultRPCPort is the port that the serf command line uses by default.
	defaultRPCPort = 7373
	// leaveWait is how long "serf leave" waits until the owner has left.
	leaveWait = 2 * time.Minute
	// rpcGreeting is how long a client may take until it has greeted, and shown the key where one is asked for.
	rpcGreeting = 10 * time.Second
	// rpcFarewell is how long a client that is refused may take to read why.
	rpcFarewell = time.Second
	// minRPCAuth is the length of the shortest key that is taken, in bytes.
	minRPCAuth = 16
	// answerGrace is how long a shutdown waits for RPC answers that are under way.
	answerGrace = time.Second
	// handlerGrace is how long a shutdown waits for RPC handlers to notice that their connection is closed.
	// The slowest one, a forced leave, takes up to 5 seconds.
	handlerGrace = 6 * time.Second
	// acceptPause is the pause after a failed accept. The agent retries at once, which would keep a CPU busy
	// when no file descriptors are left.
	acceptPause = 100 * time.Millisecond
)

// rpcServer is the RPC port: the agent's own server (AgentIPC) behind a listener whose connections inspect
// each request first (rpc_filter.go).
type rpcServer struct {
	listener listeners // the real ones
	life     *lifecycle
	stats    *counters
	ipc      *agent.AgentIPC
	auth     string      // what a client has to give first, "" for nothing
	events   rateLimiter // for events with a ucp: name

	keysOrdered func() // Config.KeysOrdered

	mu        sync.Mutex
	conns     map[*rpcConn]bool     // connections that may still have a handler; true while it works on a request
	listening map[*rpcConn]struct{} // connections that have asked for events
	changed   chan struct{}         // capacity 1: conns has changed
	closing   bool                  // no further clients are accepted
	stopped   chan struct{}         // closed: the agent's server is told to stop
}

// listenRPC opens the port, if there is to be one, and takes over the socket. No client is served until AgentIPC accepts.
func listenRPC(cfg *Config, life *lifecycle, stats *counters) (*rpcServer, error) {
	s := &rpcServer{
		auth:        cfg.RPCAuth,
		life:        life,
		stats:       stats,
		keysOrdered: cfg.KeysOrdered,
		conns:       map[*rpcConn]bool{},
		listening:   map[*rpcConn]struct{}{},
		changed:     make(chan struct{}, 1),
		stopped:     make(chan struct{}),
	}
	if cfg.RPCSocket != nil {
		s.listener.list = append(s.listener.list, cfg.RPCSocket)
	}
	if cfg.RPCAddr != "" {
		l, err := listenRPCPort(cfg.RPCAddr)
		if err != nil {
			return nil, err
		}
		s.listener.list = append(s.listener.list, l)
	}
	s.listener.start()
	return s, nil
}

func listenRPCPort(addr string) (net.Listener, error) {
	host, port, err := splitAddr("rpc", addr, "127.0.0.1", defaultRPCPort)
	if err != nil {
		return nil, err
	}
	ips, err := resolve(context.Background(), net.DefaultResolver, "rpc", host)
	if err != nil {
		return nil, err
	}
	network := "tcp"
	if ips[0].Is4() {
		network = "tcp4" // 0.0.0.0 would be IPv6, too
	}
	l, err := net.Listen(network, joinHostPort(ips[0].AsSlice(), port))
	if err != nil {
		return nil, fmt.Errorf("gossip: listening for the serf command line: %w: choose another --rpc-addr, or stop the program that uses it", err)
	}
	return l, nil
}

// rpcListener is the listener of AgentIPC.
type rpcListener struct {
	*listeners
	server *rpcServer
}

// Accept waits for a client and puts the filter in front of it. When the listener is closed, the agent must
// not see the error before it is told to stop: it would retry at once and indefinitely.
func (l rpcListener) Accept() (net.Conn, error) {
	conn, err := l.listeners.Accept()
	if err != nil {
		pause := acceptPause
		if errors.Is(err, net.ErrClosed) {
			pause = handlerGrace + acceptPause
		}
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.server.stopped:
		}
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(rpcGreeting)) // an error shows when it is read
	c := newRPCConn(conn, l.server)
	l.server.admit(c)
	return c, nil
}

// admit records a new client, or closes its connection when the server is closing.
func (s *rpcServer) admit(c *rpcConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = false
	if s.closing {
		_ = c.Conn.Close() // its handler notices
	}
}

// setBusy records whether a connection's handler works on a request.
func (s *rpcServer) setBusy(c *rpcConn, busy bool) {
	s.mu.Lock()
	if _, ok := s.conns[c]; ok {
		s.conns[c] = busy
	}
	s.mu.Unlock()
	s.signal()
}

// forget records that a connection's handler takes no further requests.
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

// listen records that a client wants events.
func (s *rpcServer) listen(c *rpcConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening[c] = struct{}{}
}

// offer passes an event to all clients that want events. It never blocks.
func (s *rpcServer) offer(e serf.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.listening {
		c.events.offer(e)
	}
}

// count returns how many handlers there are, and how many work on a request.
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

// waitUntil waits until done returns true for the numbers of handlers, for at most the given time.
func (s *rpcServer) waitUntil(limit time.Duration, done func(all, busy int) bool) {
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

// shutdown gives busy handlers a moment for their last answer, then closes all connections and waits for the
// handlers: none should be using Serf when it is shut down. Only then is the agent's server shut down, which
// does not wait.
func (s *rpcServer) shutdown() {
	s.waitUntil(answerGrace, func(_, busy int) bool { return busy == 0 })
	_ = s.listener.Close()
	s.mu.Lock()
	s.closing = true
	for c := range s.conns {
		_ = c.Conn.Close()
	}
	s.mu.Unlock()
	s.waitUntil(handlerGrace, func(all, _ int) bool { return all == 0 })
	s.ipc.Shutdown()
	close(s.stopped)
}
