package node

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/job"
)

// badLink passes connections on to a broker, and cuts each after so many bytes towards it.
type badLink struct {
	net.Listener
	to      atomic.Pointer[string]
	cut     atomic.Int64
	carried atomic.Int64
	work    sync.WaitGroup
}

func newBadLink(t *testing.T, n *Node, cut int64) *badLink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &badLink{Listener: l}
	b.lead(n)
	b.cut.Store(cut)
	b.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.work.Go(func() { b.carry(conn) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		b.work.Wait()
	})
	return b
}

// lead lets the link lead to a broker.
func (b *badLink) lead(n *Node) {
	addr := n.listener.Addr().String()
	b.to.Store(&addr)
}

func (b *badLink) carry(conn net.Conn) {
	defer conn.Close()
	to, err := net.Dial("tcp", *b.to.Load())
	if err != nil {
		return
	}
	defer to.Close()
	b.work.Go(func() {
		_, _ = io.Copy(conn, to)
		_ = conn.Close()
	})
	var from io.Reader = conn
	if cut := b.cut.Load(); cut > 0 {
		from = io.LimitReader(conn, cut)
	}
	n, _ := io.Copy(to, from)
	b.carried.Add(n)
}

// Over a link that breaks again and again a client's upload arrives by one call, with hardly more bytes than the blob has.
func TestUploadOverALinkThatBreaks(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	link := newBadLink(t, n, 1<<20)
	c, err := api.New(link.Addr().String())
	require.NoError(t, err)
	blob := content(11, 3<<20)
	b, err := api.Measure(api.Bytes(blob))
	require.NoError(t, err)
	isNew, err := c.PutBlob(t.Context(), b, api.Bytes(blob))
	require.NoError(t, err)
	require.True(t, isNew)
	require.True(t, n.blobs.sound(t.Context(), b.Digest))
	require.LessOrEqual(t, link.carried.Load(), int64(len(blob)*102/100))
}

// Another call goes on where the first one was given up, also at a broker that was started again in between.
func TestUploadGoesOnAfterARestart(t *testing.T) {
	cfg := Config{Name: "a", DataDir: t.TempDir()}
	blob := content(12, 2<<20)
	d := digest(blob)
	t.Run("before", func(t *testing.T) {
		n := startNode(t, cfg)
		link := newBadLink(t, n, 1<<20)
		req, err := http.NewRequest(http.MethodPut, "http://"+link.Addr().String()+"/v1/blobs/"+d, bytes.NewReader(blob))
		require.NoError(t, err)
		_, err = http.DefaultClient.Do(req)
		require.Error(t, err)
		require.Eventually(t, func() bool { return n.store.Blobs().Came(d) > 900_000 }, 10*time.Second, 5*time.Millisecond)
	})
	n := startNode(t, cfg)
	link := newBadLink(t, n, 0)
	c, err := api.New(link.Addr().String())
	require.NoError(t, err)
	_, err = c.PutBlob(t.Context(), api.Blob{Digest: job.Digest(d), Size: int64(len(blob))}, api.Bytes(blob))
	require.NoError(t, err)
	require.True(t, n.blobs.sound(t.Context(), job.Digest(d)))
	http.DefaultClient.CloseIdleConnections()
}

// The same between brokers.
func TestPushOverALinkThatBreaks(t *testing.T) {
	a, b := startNode(t, Config{Name: "a"}), startNode(t, Config{Name: "b"})
	blob := content(13, 3<<20)
	d := digest(blob)
	status, _ := request(t, a, "PUT", "/v1/blobs/"+d, blob)
	require.Equal(t, http.StatusCreated, status)
	link := newBadLink(t, b, 1<<20)
	require.NoError(t, a.peers.upload(t.Context(), ack.Push{To: "b", Addr: link.Addr().String(), Digest: job.Digest(d)}))
	require.True(t, b.blobs.sound(t.Context(), job.Digest(d)))
	a.peers.client.CloseIdleConnections()
	require.LessOrEqual(t, link.carried.Load(), int64(len(blob)*102/100))
}

// What a request says of its range is checked, and what does not fit to what has come is refused.
func TestUploadRanges(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	blob := content(14, 1<<20)
	path := "/v1/blobs/" + digest(blob)
	for _, text := range []string{"x", "bytes 0-1/*", "bytes 5-9/5", "bytes 5-8/10", "bytes -1-9/10", "bytes 0-9/10", "bytes 0-99999999999/100000000000"} {
		status, body := request(t, n, "PUT", path, []byte("12345"), "Content-Range", text)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, status, "%s: %s", text, body)
	}
	half := len(blob) / 2
	rest := fmt.Sprintf("bytes %d-%d/%d", half, len(blob)-1, len(blob))
	status, body := request(t, n, "PUT", path, blob[half:], "Content-Range", rest)
	require.Equal(t, http.StatusConflict, status, body)

	// What had come is wrong: it is not believed, and goes.
	part, err := n.store.Blobs().Resume(digest(blob))
	require.NoError(t, err)
	_, err = part.WriteAt(make([]byte, half), 0)
	require.NoError(t, err)
	require.NoError(t, part.Close())
	require.EqualValues(t, half, n.store.Blobs().Came(digest(blob)))
	status, body = request(t, n, "PUT", path, blob[half:], "Content-Range", rest)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	require.Zero(t, n.store.Blobs().Came(digest(blob)))

	// A client does by itself what that takes.
	part, err = n.store.Blobs().Resume(digest(blob))
	require.NoError(t, err)
	_, err = part.WriteAt(make([]byte, half), 0)
	require.NoError(t, err)
	require.NoError(t, part.Close())
	c, err := api.New(n.listener.Addr().String())
	require.NoError(t, err)
	_, err = c.PutBlob(t.Context(), api.Blob{Digest: job.Digest(digest(blob)), Size: int64(len(blob))}, api.Bytes(blob))
	require.NoError(t, err)
}

// An upload whose link is dead without that the broker has noticed gives way to the next one of the same blob; one that goes on
// does not, and who only has the whole sends it beside that.
func TestUploadThatStandsStill(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	blob := content(15, 2<<20)
	path := "/v1/blobs/" + digest(blob)
	conn, err := net.Dial("tcp", n.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(blob), blob[:1<<20])
	require.NoError(t, err)
	require.Eventually(t, func() bool { return n.store.Blobs().Came(digest(blob)) == 1<<20 }, 10*time.Second, 5*time.Millisecond)
	rest := fmt.Sprintf("bytes %d-%d/%d", 1<<20, len(blob)-1, len(blob))
	status, body := request(t, n, "PUT", path, blob[1<<20:], "Content-Range", rest)
	require.Equal(t, http.StatusTooManyRequests, status, body)
	require.Eventually(t, func() bool {
		status, body = request(t, n, "PUT", path, blob[1<<20:], "Content-Range", rest)
		return status == http.StatusCreated
	}, 10*time.Second, 100*time.Millisecond, body)
}
