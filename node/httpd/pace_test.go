package httpd

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener whose connections are in memory, so that they know virtual time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil } // a server calls it once
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects to the listener.
func (p pipes) dial() net.Conn {
	here, there := net.Pipe()
	p <- there
	return here
}

// servePaced serves a handler on virtual time.
func servePaced(t *testing.T, h http.HandlerFunc, f func(*testing.T, pipes)) {
	synctest.Test(t, func(t *testing.T) {
		srv := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}, nil, &shownHost{}, nil)
		l := make(pipes)
		server := &http.Server{Handler: srv.guarded(paced(h)), ReadHeaderTimeout: time.Minute}
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		defer server.Close() // also when the test has failed
		f(t, l)
		require.NoError(t, server.Close())
		<-done
	})
}

// A body that does not come on is not waited for, whether a handler reads it or not; one that comes slowly is.
func TestBodiesMakeProgress(t *testing.T) {
	reads := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
			_, _ = io.WriteString(w, err.Error())
			return
		}
		time.Sleep(time.Hour) // an answer that waits long is no body that stands still
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "thanks")
	}
	const head = "PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 30000\r\n\r\n"
	for name, x := range map[string]struct {
		every time.Duration // for each 1,000 bytes, 0 for none
		want  string
		after time.Duration
	}{
		"quick":           {time.Millisecond, "thanks", time.Hour},
		"slow":            {time.Second, "thanks", time.Hour},
		"too slow":        {2 * time.Second, "the body came too slowly", 19 * time.Second},
		"stands still":    {0, "the body came too slowly", 10 * time.Second},
		"nobody reads it": {0, "", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			h := reads
			if x.want == "" {
				h = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "unread") }
			}
			servePaced(t, h, func(t *testing.T, l pipes) {
				var sender sync.WaitGroup
				defer sender.Wait()
				conn := l.dial()
				defer conn.Close()
				began := time.Now()
				sender.Go(func() {
					_, _ = io.WriteString(conn, head+"x")
					for i := 1; i < 30000 && x.every > 0; i += 1000 {
						time.Sleep(x.every)
						if _, err := conn.Write(bytes.Repeat([]byte("x"), min(1000, 30000-i))); err != nil {
							return
						}
					}
				})
				var got strings.Builder
				buf := make([]byte, 1024)
				for x.want == "" || !strings.Contains(got.String(), x.want) {
					n, err := conn.Read(buf)
					got.Write(buf[:n])
					if err != nil {
						break
					}
				}
				require.Contains(t, got.String(), x.want)
				require.NotContains(t, got.String(), "418", "the wait for the answer was not cut")
				require.InDelta(t, x.after.Seconds(), time.Since(began).Seconds(), 31)
				require.GreaterOrEqual(t, time.Since(began), x.after)
			})
		})
	}
}

// Who does not take the answer loses the connection, whichever way it is written; who takes it slowly gets it.
func TestAnswersAreTaken(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 200<<10)
	for name, write := range map[string]http.HandlerFunc{
		"written": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) },
		"copied":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, bytes.NewReader(body)) },
		"of a file": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(bytes.NewReader(body), 1<<20))
		},
		"of a wait": func(w http.ResponseWriter, _ *http.Request) { time.Sleep(time.Hour); _, _ = w.Write(body) },
		"of another": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		},
	} {
		for rate, taken := range map[int]bool{2000: true, 100: false} { // bytes a second
			ended := make(chan time.Duration, 1)
			servePaced(t, func(w http.ResponseWriter, r *http.Request) {
				began := time.Now()
				write(w, r)
				ended <- time.Since(began)
			}, func(t *testing.T, l pipes) {
				conn := l.dial()
				defer conn.Close()
				_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
				require.NoError(t, err)
				total, buf := 0, make([]byte, rate)
				for {
					n, err := io.ReadFull(conn, buf)
					if total += n; err != nil {
						break
					}
					time.Sleep(time.Second)
				}
				if taken {
					require.Greater(t, total, len(body), name)
				} else {
					require.Less(t, total, len(body), name)
				}
			})
			if !taken {
				require.Less(t, <-ended, 2*time.Hour, name)
			}
		}
	}
}

// Who waits for our word before it sends a body gets an answer that needs none at once, and is told that nothing need be
// sent: it would send all of it to a connection that ends.
func TestRefusedBodiesAreNotSent(t *testing.T) {
	servePaced(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInsufficientStorage) }, func(t *testing.T, l pipes) {
		conn := l.dial()
		defer conn.Close()
		_, err := io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusInsufficientStorage, resp.StatusCode)
		require.True(t, resp.Close)
	})
}
