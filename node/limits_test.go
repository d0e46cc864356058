package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A member's tag is called as it is, so it must not mean another place than a host and a port, nor our own.
func TestCallable(t *testing.T) {
	for _, addr := range []string{"10.0.0.1:8000", "[::1]:80", "[fe80::1%eth0]:8000", "van-3:8000", "ucp-0.ucp.city.svc.cluster.local:8000"} {
		require.Equal(t, addr, callable(addr))
	}
	for _, addr := range []string{
		"", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:http", "10.0.0.1:99999", "10.0.0.1:80/path?x=", "u:p@10.0.0.1:80", "http://10.0.0.1:80",
		":8000", "0.0.0.0:8000", "[::]:8000", "224.0.0.1:80", "a b:80", "ä:80", "a#b:80", strings.Repeat("a", 254) + ":80",
	} {
		require.Empty(t, callable(addr), addr)
	}
}

// A peer that is slow takes its own share of the transfers, and who waits for it stops when its own time is over.
func TestTransfersOfASlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := transfers{running: map[string][]*transfer{}}
		release := make(chan struct{})
		done := make(chan error, perPeer)
		for range perPeer {
			go func() { done <- x.run(t.Context(), "slow", func() error { <-release; return nil }) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, x.run(ctx, "slow", func() error { return nil }), context.DeadlineExceeded)
		wrong := errors.New("wrong")
		require.ErrorIs(t, x.run(t.Context(), "quick", func() error { return wrong }), wrong)
		close(release)
		for range perPeer {
			require.NoError(t, <-done)
		}
		require.Empty(t, x.running, "nothing is kept of peers that nobody exchanges blobs with")
	})
}

// What is urgent goes first, has a peer for itself, and may become urgent while it waits.
func TestUrgentTransfersGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, start := transfers{running: map[string][]*transfer{}}, time.Now()
		var mu sync.Mutex
		var order []string
		var work sync.WaitGroup
		urgency := map[string]int{}
		begin := func(name, peer string, u int) {
			urgency[name] = u
			ctx := withUrgency(t.Context(), func() int { mu.Lock(); defer mu.Unlock(); return urgency[name] })
			work.Go(func() {
				_ = x.run(ctx, peer, func() error {
					mu.Lock()
					order = append(order, fmt.Sprint(name, " ", time.Since(start)))
					mu.Unlock()
					time.Sleep(time.Second)
					return nil
				})
			})
			synctest.Wait()
		}
		begin("first", "p", 5)
		begin("second", "p", 5)
		begin("third", "p", 5)
		begin("urgent", "p", 38)
		begin("late", "p", 5)
		begin("copy", "p", -1)
		begin("elsewhere", "q", -1)
		mu.Lock()
		urgency["late"] = 40
		mu.Unlock()
		work.Wait()
		require.Equal(t, []string{"first 0s", "second 0s", "elsewhere 0s", "late 1s", "urgent 2s", "third 3s", "copy 4s"}, order)
		require.Empty(t, x.running)
	})
}

// A transfer that brings a byte each few seconds is ended, one at a thousand a second is not.
func TestWatched(t *testing.T) {
	for rate, ends := range map[int]bool{1: true, 900: true, 1100: false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, w := io.Pipe()
			var sender sync.WaitGroup
			defer sender.Wait()
			defer r.Close()
			sender.Go(func() {
				for range 600 {
					time.Sleep(time.Second)
					if _, err := w.Write(make([]byte, rate)); err != nil {
						return
					}
				}
				_ = w.Close()
			})
			body := newWatched(r, 10*time.Second, cancel)
			defer body.stop()
			defer context.AfterFunc(ctx, func() { _ = w.Close() })()
			_, err := io.Copy(io.Discard, body)
			require.NoError(t, err)
			require.Equal(t, ends, ctx.Err() != nil, "%d bytes a second", rate)
		})
	}
}

// A client that puts a blob which is here already, and sends its body all the same, gets the answer and no reset.
func TestPutAgainAndClose(t *testing.T) {
	n := startNode(t, Config{})
	blob := []byte(strings.Repeat("x", 3<<20))
	path := "/v1/blobs/" + digest(blob)
	status, _ := request(t, n, "PUT", path, blob)
	require.Equal(t, http.StatusCreated, status)
	conn, err := net.Dial("tcp", n.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", path, len(blob))
	require.NoError(t, err)
	_, err = conn.Write(blob)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 200 OK")
}

// A blob that was encoded for the way is refused: what is kept would be something else than what was meant.
func TestEncodedBlobIsRefused(t *testing.T) {
	n := startNode(t, Config{})
	r, err := http.NewRequestWithContext(t.Context(), "PUT", "http://"+n.listener.Addr().String()+"/v1/blobs/"+digest([]byte("x")), strings.NewReader("x"))
	require.NoError(t, err)
	r.Header.Set("Content-Encoding", "gzip")
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusUnsupportedMediaType, res.StatusCode)
}

// Parts of a blob can be asked for, so that a download goes on where it broke off; many parts at once cost no more than the whole.
func TestPartsOfABlob(t *testing.T) {
	n := startNode(t, Config{})
	blob := []byte(strings.Repeat("0123456789", 1000))
	path := "/v1/blobs/" + digest(blob)
	status, _ := request(t, n, "PUT", path, blob)
	require.Equal(t, http.StatusCreated, status)
	get := func(method, header, value string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.listener.Addr().String()+path, nil)
		require.NoError(t, err)
		r.Header.Set(header, value)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, string(body)
	}
	res, body := get("GET", "Range", "bytes=9995-")
	require.Equal(t, http.StatusPartialContent, res.StatusCode)
	require.Equal(t, "56789", body)
	res, _ = get("GET", "Range", "bytes=20000-")
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, res.StatusCode)
	res, _ = get("GET", "If-None-Match", `"`+digest(blob)+`"`)
	require.Equal(t, http.StatusNotModified, res.StatusCode)
	res, _ = get("HEAD", "Accept", "*/*")
	require.Equal(t, int64(len(blob)), res.ContentLength)
	res, body = get("GET", "Range", "bytes="+strings.Repeat("0-,", 1000)+"0-")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, string(blob), body)
}

// Bodies that are sent half take one address's connections, and nothing else: whether the broker is alive is said, and
// members are heard.
func TestHalfSentBodies(t *testing.T) {
	n := startNode(t, Config{})
	addr := n.listener.Addr().String()
	for i := range 300 {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		path := []string{"/v1/jobs", "/broker/sync-metadata"}[i%2]
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", path)
		require.NoError(t, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	ask := func(path, to string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+path, nil)
		require.NoError(t, err)
		if to != "" {
			r.Header.Set("X-UCP-To", to)
		}
		res, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Equal(t, http.StatusServiceUnavailable, ask("/v1/members", ""))
	require.Equal(t, http.StatusOK, ask("/healthz", ""))
	require.Equal(t, http.StatusOK, ask("/v1/members", n.name), "as a member asks, from a member's address")
}
