package httpd

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// metric returns the line of a metric in what /metrics shows.
func metric(t *testing.T, srv *Server, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	srv.http.Handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, name+" ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// A panic of a handler is told to the client, to whoever reads the log, and to monitoring.
func TestPanicsAreToldToAll(t *testing.T) {
	var log bytes.Buffer
	srv := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil, &shownHost{}, nil)
	require.Equal(t, "ucp_http_panics_total 0", metric(t, srv, "ucp_http_panics_total"))
	require.Empty(t, log.String())

	w := httptest.NewRecorder()
	srv.http.Handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/v1/jobs", nil)) // there is no core to ask
	require.Equal(t, http.StatusInternalServerError, w.Code)
	var e api.Error
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
	require.Equal(t, api.CodeInternal, e.Code)
	require.Contains(t, e.Message, "nil pointer")
	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), "path=/v1/jobs")
	require.Contains(t, log.String(), "handleList", "the stack names who has panicked")
	require.Equal(t, "ucp_http_panics_total 1", metric(t, srv, "ucp_http_panics_total"))
}

// Half of an answer is not taken for all of it, and what a handler means to do is no fault.
func TestPanicsInTheMiddleCutTheConnection(t *testing.T) {
	for _, c := range []struct {
		what     any
		reported string
	}{
		{"odd", "ucp_http_panics_total 1"},
		{http.ErrAbortHandler, "ucp_http_panics_total 0"},
	} {
		srv := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, &shownHost{}, nil)
		for _, begin := range []func(w http.ResponseWriter){
			func(w http.ResponseWriter) { _, _ = w.Write([]byte("half")) },
			func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("half")) },
			func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		} {
			srv.metrics = newMetrics(srv)
			server := httptest.NewServer(srv.guarded(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "8")
				begin(w)
				_ = http.NewResponseController(w).Flush()
				panic(c.what)
			})))
			resp, err := http.Get(server.URL)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			server.Close()
			srv.http.Handler = srv.handler()
			require.Equal(t, c.reported, metric(t, srv, "ucp_http_panics_total"))
		}
	}
}
