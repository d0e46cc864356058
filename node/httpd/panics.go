package httpd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"

	"github.com/urban-compute/ucp/api"
)

// guarded answers requests whose handler panics, which is a fault of this program: it is logged with the stack and
// counted, and the client gets a 500. Where the answer had begun, the connection is cut instead, so that half of an
// answer is not taken for all of it.
func (srv *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) { // a handler's own way to cut the connection
				panic(v)
			}
			srv.metrics.panics.Inc()
			srv.log.Error("a handler has panicked; please report it", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if a.begun {
				panic(http.ErrAbortHandler)
			}
			clear(w.Header()) // they were meant for another answer
			srv.metrics.refused(api.CodeInternal)
			writeJSON(w, http.StatusInternalServerError, fail(http.StatusInternalServerError, api.CodeInternal,
				"a fault of this broker, which its log shows: %.200v", v))
		}()
		next.ServeHTTP(a, r)
	})
}

// answer is a ResponseWriter that knows whether something was sent, and waits for nobody who does not take it.
type answer struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.extend(0)
	a.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.send(b)
}

// ReadFrom implements io.ReaderFrom, by which the kernel sends files.
func (a *answer) ReadFrom(r io.Reader) (n int64, err error) {
	a.begun = true
	for {
		a.extend(paceChunk)
		m, err := io.CopyN(a.ResponseWriter, r, paceChunk)
		n += m
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Unwrap serves http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
