package httpd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
)

// limiter bounds the connections of the HTTP interface to half of the file descriptors that this
// process may have. The other half is for what must not fail: a store that can't open its next log,
// or a folder that it has to sync, ends the process, and a worker takes three. A quarter of them is kept
// for members, and one address gets 256 at most, so that no crowd of clients cuts a broker off from its cluster.
//
// A connection beyond that is told so, instead of being left waiting in a queue of the kernel. What it asks is looked at
// first: whether this broker is alive is always answered, and a member that finds the clients' share taken is let in.
type limiter struct {
	most   int
	member func(source string) bool
	secure func(net.Conn) net.Conn // speaks TLS on a connection; nil where there is none
	log    *slog.Logger

	mu   sync.Mutex
	now  int
	by   map[string]int // open connections by source
	told time.Time      // when it was last logged that connections are refused
}

const (
	fewestConnections = 8
	perSource         = 256
	// turnAway bounds each step of a refusal.
	turnAway = 200 * time.Millisecond
	// warnEvery is how often refusals are logged.
	warnEvery = time.Minute
)

func newLimiter(log *slog.Logger, member func(source string) bool) *limiter {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = 1024 // the usual limit, where the system does not tell
	}
	return &limiter{most: max(fewestConnections, int(min(files.Cur, 1<<20)/2)), member: member, log: log, by: map[string]int{}}
}

// state is the server's hook: it counts connections in and out.
func (c *limiter) state(conn net.Conn, s http.ConnState) {
	source := sourceOf(conn.RemoteAddr().String())
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.now++
		c.by[source]++
	case http.StateClosed, http.StateHijacked:
		c.now--
		if c.by[source]--; c.by[source] == 0 {
			delete(c.by, source)
		}
	}
}

// full says why a connection from a source is one too many, or "". A peer is one that speaks as a member does.
func (c *limiter) full(source string, peer bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.now >= c.most, !peer && c.now >= c.most-c.most/4:
		return fmt.Sprintf("this broker has %d connections open, as many as it has file descriptors for", c.now)
	case !peer && c.by[source] >= perSource:
		return fmt.Sprintf("%s has %d connections open here, and no address gets more", source, c.by[source])
	}
	return ""
}

// warn logs a refusal, one a minute at most: who is refused may come again at once, for hours.
func (c *limiter) warn(why string) {
	c.mu.Lock()
	now := time.Now()
	due := c.told.IsZero() || now.Sub(c.told) >= warnEvery
	if due {
		c.told = now
	}
	c.mu.Unlock()
	if due {
		c.log.Warn("new connections are refused", "reason", why)
	}
}

// limitedListener accepts no more connections than the limiter allows. Those of members that come when clients have taken
// their share come out of peers, which must be served, too.
type limitedListener struct {
	net.Listener
	limiter *limiter
	secure  func(net.Conn) net.Conn // speaks TLS on a connection; nil where there is none
	peers   *handed

	slots  chan struct{} // one for each refusal under way; further connections wait in the kernel's queue
	refuse sync.WaitGroup
	spares chan *os.File // given up to refuse connections when no descriptor is left at all; nil for one that was not to be had
}

// mostSpare is how many connections are refused at once when no descriptor is left: those that send nothing take time.
const mostSpare = 8

// limit puts a listener under the limit.
func (c *limiter) limit(l net.Listener) *limitedListener {
	d := &limitedListener{Listener: l, limiter: c, secure: c.secure, slots: make(chan struct{}, min(64, c.most/2)),
		peers: &handed{addr: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}}
	d.spares = make(chan *os.File, mostSpare)
	for range mostSpare {
		d.spares <- newSpare()
	}
	return d
}

// newSpare opens a descriptor to be given up; nil when there is none to be had. Without any, connections just wait longer.
func newSpare() *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil
	}
	return f
}

// Accept implements net.Listener.
func (d *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := d.accept()
		if errors.Is(err, syscall.EMFILE) && d.refuseOne() {
			continue
		}
		if err != nil {
			return nil, err
		}
		why := d.limiter.full(sourceOf(conn.RemoteAddr().String()), false)
		if why == "" {
			return conn, nil
		}
		d.slots <- struct{}{} // each is given back within a few turnAways
		d.refuse.Go(func() {
			defer func() { <-d.slots }()
			d.turnAway(conn, why)
		})
	}
}

// accept takes a connection; its handshake comes with the first read.
func (d *limitedListener) accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err == nil && d.secure != nil {
		conn = d.secure(conn)
	}
	return conn, err
}

// refuseOne refuses the next connection with a descriptor that was kept for that. It reports false when it could not.
func (d *limitedListener) refuseOne() bool {
	spare := <-d.spares // each is given back within a few turnAways
	if spare == nil {
		spare = newSpare()
	}
	if spare == nil {
		d.spares <- nil
		return false
	}
	_ = spare.Close()
	conn, err := d.accept()
	if err != nil { // another was quicker to take the descriptor, or the listener is closed
		d.spares <- newSpare()
		return false
	}
	d.refuse.Go(func() {
		d.turnAway(conn, "this broker has no file descriptors left")
		d.spares <- newSpare()
	})
	return true
}

// Close implements net.Listener; it waits for the refusals under way.
func (d *limitedListener) Close() error {
	err := d.Listener.Close() // Accept has ended, or ends now; the spare goes with the process
	_ = d.peers.Close()
	d.refuse.Wait()
	return err
}

// turnAway answers the request of a connection that is one too many with 503, unless it is a member's for which there is
// room, or asks whether this broker is alive. A connection without a request is just closed.
// The request is read first also because a client may take an answer without one for an error, and closing
// a connection with unread bytes would discard the answer.
func (d *limitedListener) turnAway(conn net.Conn, why string) {
	source := sourceOf(conn.RemoteAddr().String())
	_ = conn.SetDeadline(time.Now().Add(turnAway)) // an error shows at the next step
	first := make([]byte, 4<<10)
	n, err := conn.Read(first)
	if n == 0 || err != nil {
		_ = conn.Close()
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(first[:n])))
	switch {
	case err == nil && r.Header.Get(toHeader) != "" && d.limiter.member(source) && d.limiter.full(source, true) == "":
		_ = conn.SetDeadline(time.Time{})
		d.peers.hand(&begun{Conn: conn, first: first[:n]})
		return
	case err == nil && r.URL.Path == "/healthz":
		respond(conn, http.StatusOK, alive)
	default:
		d.limiter.warn(why)
		respond(conn, http.StatusServiceUnavailable, api.Error{Code: api.CodeUnavailable, Message: why + "; ask another broker, or come back"})
	}
}

// respond answers a request that no server has read, and closes the connection.
func respond(conn net.Conn, status int, v any) {
	defer conn.Close()
	body, err := json.Marshal(v)
	if err != nil {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(turnAway))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
}

// begun is a connection of which the first bytes have been read already.
type begun struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (c *begun) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// handed is a listener for connections that another one has accepted.
type handed struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// hand gives a connection to whoever accepts, or closes it when nobody does any more.
func (h *handed) hand(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		_ = conn.Close()
	}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handed) Addr() net.Addr { return h.addr }

// sourceOf is where a connection comes from: all ports of an address are one source.
func sourceOf(addr string) string {
	if addr == "" || addr == "@" {
		return "a socket of this machine"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
