package httpd

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// nobody is a cluster without members.
func nobody(string) bool { return false }

// serve serves a listener under a limiter, as Server does, until the test ends.
func serve(t *testing.T, c *limiter, l net.Listener, h http.Handler) {
	server := &http.Server{ConnState: c.state, Handler: h}
	limited := c.limit(l)
	served := make(chan error, 2)
	go func() { served <- server.Serve(limited) }()
	go func() { served <- server.Serve(limited.peers) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		for range 2 {
			require.ErrorIs(t, <-served, http.ErrServerClosed)
		}
	})
}

// idle opens n more connections that say nothing, and waits until they count.
func idle(t *testing.T, c *limiter, addr string, n int) (conns []net.Conn) {
	before := c.open()
	for range n {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		conns = append(conns, conn)
		t.Cleanup(func() { _ = conn.Close() })
	}
	require.Eventually(t, func() bool { return c.open() == before+n }, 10*time.Second, time.Millisecond)
	return conns
}

func (c *limiter) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// A connection that comes when the clients' share of half of the descriptors is taken is refused at once; when one of the
// others has gone there is room again. A member is let in, up to the last quarter, and whether the broker is alive is
// always said.
func TestLimiter(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := newLimiter(slog.New(slog.NewTextHandler(t.Output(), nil)), func(source string) bool { return source == "127.0.0.1" })
	require.GreaterOrEqual(t, c.most, fewestConnections)
	c.most = 8
	serve(t, c, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.URL.Path+" "+string(b))
	}))
	addr := listener.Addr().String()
	conns := idle(t, c, addr, 6)

	ask := func(path, to string) (int, string, http.Header) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := http.NewRequest("POST", "http://"+addr+path, strings.NewReader("body"))
		require.NoError(t, err)
		if to != "" {
			r.Header.Set(toHeader, to)
		}
		res, err := client.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode, string(text), res.Header
	}
	status, text, h := ask("/v1/jobs", "")
	require.Equal(t, 503, status)
	require.Contains(t, text, `"code":"unavailable"`)
	require.Contains(t, text, "as many as it has file descriptors for")
	require.NotEmpty(t, h.Get("Retry-After"))
	status, text, _ = ask("/healthz", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"status":"alive"}`, text)
	status, text, _ = ask("/broker/sync-metadata", "a~1")
	require.Equal(t, 200, status)
	require.Equal(t, "/broker/sync-metadata body", text)

	require.NoError(t, conns[0].Close())
	require.Eventually(t, func() bool { return c.open() == 5 }, time.Minute, time.Millisecond)
	status, _, _ = ask("/v1/jobs", "")
	require.Equal(t, 200, status)
	require.Eventually(t, func() bool { return c.open() == 5 }, time.Minute, time.Millisecond) // that connection has ended

	c.member = nobody
	idle(t, c, addr, 1)
	status, _, _ = ask("/broker/sync-metadata", "a~1")
	require.Equal(t, 503, status, "anybody can say that it is a member")
}

// One address does not get all connections that there are.
func TestLimiterOfOneSource(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := newLimiter(slog.New(slog.NewTextHandler(t.Output(), nil)), nobody)
	c.most = 100_000
	c.by["127.0.0.1"], c.by["10.0.0.1"] = perSource, 1
	require.Contains(t, c.full("127.0.0.1", false), "127.0.0.1 has 256 connections open here")
	require.Empty(t, c.full("127.0.0.1", true))
	require.Empty(t, c.full("10.0.0.1", false))
	serve(t, c, listener, http.NotFoundHandler())
	res, err := http.Get("http://" + listener.Addr().String() + "/v1/jobs")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 503, res.StatusCode)
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
	serve(t, newLimiter(slog.New(slog.NewTextHandler(t.Output(), nil)), nobody), &full{Listener: listener}, http.NotFoundHandler())
	for _, status := range []int{503, 404} {
		res, err := http.Post("http://"+listener.Addr().String(), "application/json", http.NoBody)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode)
	}
}

// none is a listener that finds a descriptor only where one was given up just before.
type none struct {
	net.Listener
	given bool
}

func (n *none) Accept() (net.Conn, error) {
	n.given = !n.given
	if n.given {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return n.Listener.Accept()
}

// Connections that send nothing, and wait before a client's when no descriptor is left, take little of its patience.
func TestIdleConnectionsDelayNoRefusal(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, newLimiter(slog.New(slog.NewTextHandler(t.Output(), nil)), nobody), &none{Listener: listener}, http.NotFoundHandler())
	const idle = 60
	for range idle {
		conn, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
	}
	began := time.Now()
	res, err := http.Post("http://"+listener.Addr().String(), "application/json", http.NoBody)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 503, res.StatusCode)
	require.Less(t, time.Since(began), idle*turnAway/4) // one after the other they take idle*turnAway
}

// Who is refused again and again fills no log.
func TestRefusalsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := newLimiter(slog.New(slog.NewTextHandler(&out, nil)), nil)
		a := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}
		for range 3 {
			for range 100 {
				c.state(from{addr: a}, http.StateNew)
				c.warn("too many")
				c.state(from{addr: a}, http.StateClosed)
			}
			time.Sleep(time.Minute)
		}
		require.Equal(t, 3, strings.Count(out.String(), "new connections are refused"))
	})
}

// from is a connection of which only its other side is known.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }
