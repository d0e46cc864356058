package httpd

import (
	"io"
	"net/http"
	"os"
	"time"

	"github.com/urban-compute/ucp/api"
)

// A body and an answer may pause for firstBytes; beyond that they must go on at leastRate at least.
const (
	firstBytes = 10 * time.Second
	leastRate  = 1000 // bytes a second
	// paceChunk bounds what is written under one deadline, which is as much later as it is long.
	paceChunk = 64 << 10
)

// paced sees to it that bodies make progress; [answer] does it for what is sent: whoever holds a connection must use it.
func paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.ContentLength != 0 {
			// In a copy: the server looks at the body of its own whether the client still waits for our word before it sends
			// (100-continue), and then says with the answer that nothing need be sent.
			copied := *r
			copied.Body = newPacedBody(r.Body, http.NewResponseController(w))
			r = &copied
		}
		next.ServeHTTP(w, r)
	})
}

// patience is how long n bytes may take.
func patience(n int64) time.Duration {
	return firstBytes + time.Duration(n)*time.Second/leastRate
}

// pacedBody is the body of a request that must make progress. When it does not, reading it fails, and the connection ends.
type pacedBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	began time.Time
	n     int64
}

func newPacedBody(body io.ReadCloser, conn *http.ResponseController) *pacedBody {
	p := &pacedBody{ReadCloser: body, conn: conn, began: time.Now()}
	p.extend() // also for what the server reads if the handler does not
	return p
}

// extend allows for the bytes so far; at the end of the body the server takes the deadline back. An error means a connection without deadlines, which only tests have.
func (p *pacedBody) extend() { _ = p.conn.SetReadDeadline(p.began.Add(patience(p.n))) }

// Read implements io.Reader.
func (p *pacedBody) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.n += int64(n)
	switch {
	case os.IsTimeout(err):
		err = fail(http.StatusRequestTimeout, api.CodeTooSlow, "the body came too slowly: %d bytes in %v; at least %d bytes a second after %v are waited for",
			p.n, time.Since(p.began).Round(time.Second), leastRate, firstBytes)
	case err == nil:
		p.extend()
	}
	return n, err
}

// send writes an answer in pieces that must each get away in time: whoever reads more slowly loses the connection.
func (a *answer) send(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		part := b[n:min(n+paceChunk, len(b))]
		a.extend(len(part))
		var m int
		m, err = a.ResponseWriter.Write(part)
		n += m
	}
	return n, err
}

// extend allows for n bytes more of the answer.
func (a *answer) extend(n int) {
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(patience(int64(n))))
}
