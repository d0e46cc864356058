package node

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
)

// crowd bounds the connections of the HTTP interface to half of the file descriptors
// that this process may have. The other half is for what must not fail: a store that
// can't open its next log or a folder that it has to sync ends the process, and a
// worker takes three. Whoever comes beyond that is told so, and not left waiting in a
// queue of the kernel.
type crowd struct {
	most int64
	now  atomic.Int64
	told atomic.Bool // the log was, since there was room the last time
	log  *slog.Logger
}

const (
	fewestConnections = 8
	// turnAway bounds how long a refusal holds up those who come next.
	turnAway = 10 * time.Millisecond
)

func newCrowd(log *slog.Logger) *crowd {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = 1024 // where nobody says, what is usual
	}
	return &crowd{most: max(fewestConnections, int64(min(files.Cur, 1<<20)/2)), log: log}
}

// state is the server's hook: it counts connections in and out.
func (c *crowd) state(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.now.Add(1)
	case http.StateClosed, http.StateHijacked:
		if c.now.Add(-1) < c.most/2 {
			c.told.Store(false)
		}
	}
}

// door lets no more in than there is room for.
type door struct {
	net.Listener
	crowd *crowd
}

// Accept implements net.Listener.
func (d door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || d.crowd.now.Load() < d.crowd.most {
			return conn, err
		}
		d.crowd.refuse(conn)
	}
}

// refuse answers whatever will be asked, and hangs up. What the client has sent is
// read as far as it is there, since closing over unread bytes would take the answer
// back.
func (c *crowd) refuse(conn net.Conn) {
	defer conn.Close()
	if !c.told.Swap(true) {
		c.log.Warn("new connections are refused: half of the file descriptors are taken by those that are open", "connections", c.most)
	}
	body, err := json.Marshal(api.Error{
		Code:    api.CodeUnavailable,
		Message: fmt.Sprintf("this broker has %d connections open and no file descriptors for more; ask another, or come back", c.most),
	})
	if err != nil {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(turnAway)) // who does not listen is not waited for
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 64<<10))
}
