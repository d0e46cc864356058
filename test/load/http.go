package load

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// patience is for how long an answer is waited for.
const patience = 10 * time.Second

// Conn is one keep-alive connection over HTTP/1.1. It writes its requests as bytes, so that the load takes as little of the machine as it
// can from what is measured. One goroutine at a time uses it.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
	host string
	head string
}

// Dial connects to an address; by TLS where a configuration is given. Head are more lines of each request's head, each with its \r\n.
func Dial(addr string, by *tls.Config, head string) (*Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if by != nil {
		conn = tls.Client(conn, by)
	}
	return &Conn{conn: conn, in: bufio.NewReader(conn), host: addr, head: head}, nil
}

// Do sends a request with a body, "" for none, and returns the status and body of its answer.
func (c *Conn) Do(method, path, contentType, body string) (int, []byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	if _, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", method, path, c.host, contentType, c.head, len(body), body); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }
