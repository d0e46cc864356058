package simnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// connectTimeout is how long a dial waits for a silent host at most, about as
// long as on Linux.
const connectTimeout = 2 * time.Minute

// listener accepts streams at one port of a host.
type listener struct {
	host     *Host
	port     uint16
	incoming chan net.Conn
	done     chan struct{} // closed with the listener
	once     sync.Once
}

// Listen opens the host's HTTP port, 8000. It fails while the port is already open, and while the host is down.
func (h *Host) Listen() (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.listenLocked(httpPort, make(chan net.Conn, socketBuffer))
}

func (h *Host) listenLocked(port uint16, incoming chan net.Conn) (*listener, error) {
	if !h.up {
		return nil, fmt.Errorf("simnet: listening on %s:%d: the host is down: call Restart first", h.name, port)
	}
	if h.listeners[port] != nil {
		return nil, fmt.Errorf("simnet: listening on %s:%d: %w", h.name, port, syscall.EADDRINUSE)
	}
	l := &listener{host: h, port: port, incoming: incoming, done: make(chan struct{})}
	h.listeners[port] = l
	h.net.changed.Broadcast()
	return l, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done: // first: after Close nothing is accepted
		return nil, l.opError("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.done:
		return nil, l.opError("accept", net.ErrClosed)
	}
}

// Close implements net.Listener: it closes the port. Streams that wait to be accepted are reset.
func (l *listener) Close() error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	l.once.Do(func() {
		close(l.done)
		if l.host.listeners[l.port] == l {
			delete(l.host.listeners, l.port)
		}
		for {
			select {
			case c := <-l.incoming:
				c.(*stream).resetLocked()
			default:
				return
			}
		}
	})
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.host.ip, l.port))
}

func (l *listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.Addr(), Err: err}
}

// Dial opens a stream from this host to "host:port"; host may be a name. It can be used as
// http.Transport.DialContext. If the other host is silent (it has crashed, or is cut off in
// either direction), Dial waits until the host answers, until ctx ends, or for two minutes.
// A host on which the port is not open refuses at once.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n := h.net
	stop := context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changed.Broadcast()
	})
	defer stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	return h.dialLocked(addr, time.Now().Add(connectTimeout), ctx.Err)
}

// dialLocked waits until the other host answers, until deadline, or until
// cancelled returns an error, after which n.changed must be signalled. The handshake
// takes one round trip.
func (h *Host) dialLocked(addr string, deadline time.Time, cancelled func() error) (net.Conn, error) {
	n := h.net
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: textAddr(addr), Err: err}
	}
	to, port, err := n.lookupLocked(addr)
	if err != nil {
		return fail(err)
	}
	wakeAt := func(t time.Time) *time.Timer {
		return time.AfterFunc(time.Until(t), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.changed.Broadcast()
		})
	}
	answer := time.Now().Add(2 * n.latency(h, to))
	defer wakeAt(deadline).Stop()
	defer wakeAt(answer).Stop()
	for {
		switch now := time.Now(); {
		case cancelled() != nil:
			return fail(cancelled())
		case n.closed || !h.up:
			return fail(net.ErrClosed)
		case now.Before(answer) && now.Before(deadline):
		case n.openLocked(h, to) && n.openLocked(to, h) && !now.Before(answer):
			conn, err := h.connectLocked(to, port)
			if err != nil {
				return fail(err)
			}
			return conn, nil
		case !now.Before(deadline):
			return fail(os.ErrDeadlineExceeded)
		}
		n.changed.Wait()
	}
}

// connectLocked makes the two ends of a stream and passes one of them to the listener.
func (h *Host) connectLocked(to *Host, port uint16) (net.Conn, error) {
	l := to.listeners[port]
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	h.lastPort = max(h.lastPort+1, 32768) // wraps around
	local := netip.AddrPortFrom(h.ip, h.lastPort)
	remote := netip.AddrPortFrom(to.ip, port)
	here, there := newStreamsLocked(h, to, local, remote)
	select {
	case l.incoming <- there:
		return here, nil
	default:
		here.resetLocked()
		return nil, errors.New("simnet: the listener's backlog is full")
	}
}

// textAddr is an address that may be invalid.
type textAddr string

func (textAddr) Network() string { return "tcp" }

func (a textAddr) String() string { return string(a) }
