package httpd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
)

// limiter bounds the connections of the HTTP interface to half of the file descriptors that this
// process may have. The other half is for what must not fail: a store that can't open its next log,
// or a folder that it has to sync, ends the process, and a worker takes three. A connection beyond
// the limit is told so, instead of being left waiting in a queue of the kernel.
type limiter struct {
	most int64
	now  atomic.Int64
	told atomic.Bool // it was logged that connections are refused, and there was no room since
	log  *slog.Logger
}

const (
	fewestConnections = 8
	// turnAway bounds each step of a refusal, and refusals bounds how many go on at once;
	// further connections wait in the kernel's queue.
	turnAway = 200 * time.Millisecond
	refusals = 16
)

func newLimiter(log *slog.Logger) *limiter {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = 1024 // the usual limit, where the system does not tell
	}
	return &limiter{most: max(fewestConnections, int64(min(files.Cur, 1<<20)/2)), log: log}
}

// state is the server's hook: it counts connections in and out.
func (c *limiter) state(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.now.Add(1)
	case http.StateClosed, http.StateHijacked:
		if c.now.Add(-1) < c.most/2 {
			c.told.Store(false)
		}
	}
}

// limitedListener accepts no more connections than the limiter allows.
type limitedListener struct {
	net.Listener
	limiter *limiter

	slots  chan struct{} // one for each refusal under way
	refuse sync.WaitGroup
	spare  *os.File // given up to refuse a connection when no descriptor is left at all
}

// limit puts a listener under the limit.
func (c *limiter) limit(l net.Listener) *limitedListener {
	d := &limitedListener{Listener: l, limiter: c, slots: make(chan struct{}, refusals)}
	d.spare, _ = os.Open(os.DevNull) // without one, connections just wait longer
	return d
}

// Accept implements net.Listener.
func (d *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if errors.Is(err, syscall.EMFILE) && d.spare != nil {
			d.refuseOne()
			continue
		}
		if err != nil || d.limiter.now.Load() < d.limiter.most {
			return conn, err
		}
		d.slots <- struct{}{} // each is given back within a few turnAways
		d.refuse.Go(func() {
			defer func() { <-d.slots }()
			d.limiter.refuse(conn)
		})
		if d.spare == nil {
			d.spare, _ = os.Open(os.DevNull)
		}
	}
}

// refuseOne refuses a waiting connection with the descriptor that was kept for that.
func (d *limitedListener) refuseOne() {
	_ = d.spare.Close()
	d.spare = nil
	if conn, err := d.Listener.Accept(); err == nil {
		d.limiter.refuse(conn)
	}
	d.spare, _ = os.Open(os.DevNull) // if another was quicker, there is none until the next refusal
}

// Close implements net.Listener; it waits for the refusals under way.
func (d *limitedListener) Close() error {
	err := d.Listener.Close() // Accept has ended, or ends now; the spare goes with the process
	d.refuse.Wait()
	return err
}

// refuse answers a request with 503 and closes the connection; one without a request is just closed.
// The request is read first, since a client may take an answer without one for an error, and closing
// a connection with unread bytes would discard the answer.
func (c *limiter) refuse(conn net.Conn) {
	defer conn.Close()
	if !c.told.Swap(true) {
		c.log.Warn("new connections are refused: half of the file descriptors are taken by those that are open", "connections", c.most)
	}
	_ = conn.SetDeadline(time.Now().Add(turnAway)) // an error shows at the next step
	if n, err := conn.Read(make([]byte, 4<<10)); n == 0 || err != nil {
		return
	}
	body, err := json.Marshal(api.Error{
		Code:    api.CodeUnavailable,
		Message: fmt.Sprintf("this broker has %d connections open and no file descriptors for more; ask another, or come back", c.most),
	})
	if err != nil {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(turnAway))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
}
