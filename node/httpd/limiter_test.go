package httpd

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// A connection that comes when half of the descriptors are taken is refused at once; when one of the
// others has gone there is room again.
func TestLimiter(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := newLimiter(slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.GreaterOrEqual(t, c.most, int64(fewestConnections))
	c.most = 1
	server := &http.Server{ConnState: c.state, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"members":[]}`) })}
	served := make(chan error, 1)
	go func() { served <- server.Serve(c.limit(listener)) }()
	defer func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}()

	idle, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.now.Load() == 1 }, 10*time.Second, time.Millisecond)

	res, err := http.Post("http://"+listener.Addr().String()+"/v1/jobs", "application/json", http.NoBody)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 503, res.StatusCode)
	require.Contains(t, string(text), `"code":"unavailable"`)
	require.NotEmpty(t, res.Header.Get("Retry-After"))

	require.NoError(t, idle.Close())
	require.Eventually(t, func() bool { return c.now.Load() == 0 }, 10*time.Second, time.Millisecond)
	client, err := api.New(listener.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Members(t.Context())
	require.NoError(t, err)
}

// full is a listener that finds no descriptor once.
type full struct {
	net.Listener
	failed bool
}

func (f *full) Accept() (net.Conn, error) {
	if !f.failed {
		f.failed = true
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

// When no descriptor is left at all, the one that was kept serves to say so.
func TestLimiterWithoutDescriptors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := newLimiter(slog.New(slog.NewTextHandler(t.Output(), nil)))
	server := &http.Server{ConnState: c.state, Handler: http.NotFoundHandler()}
	served := make(chan error, 1)
	go func() { served <- server.Serve(c.limit(&full{Listener: listener})) }()
	defer func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}()
	for _, status := range []int{503, 404} {
		res, err := http.Post("http://"+listener.Addr().String(), "application/json", http.NoBody)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode)
	}
}
