package node

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
)

// source is another broker that has a blob, at the end of a bad link.
type source struct {
	*httptest.Server
	name  string
	blob  []byte
	drop  int  // breaks each answer after so many bytes; 0: it does not
	whole bool // it knows no ranges

	mu     sync.Mutex
	sent   int
	ranges []string
}

func newSource(t *testing.T, name string, blob []byte) *source {
	s := &source{name: name, blob: blob}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/blobs/"+digest(s.blob) {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	s.mu.Unlock()
	if s.whole {
		w.Header().Set("Content-Length", strconv.Itoa(len(s.blob)))
		r.Header.Del("Range")
	}
	http.ServeContent(&leaky{ResponseWriter: w, s: s}, r, "", time.Time{}, bytes.NewReader(s.blob))
}

func (s *source) member() membership.Member {
	return membership.Member{Name: s.name, Status: membership.Alive, HTTPAddr: s.Listener.Addr().String()}
}

// leaky breaks the connection after some bytes.
type leaky struct {
	http.ResponseWriter
	s *source
	n int
}

func (l *leaky) Write(b []byte) (int, error) {
	if l.s.drop > 0 && l.n+len(b) > l.s.drop {
		b = b[:l.s.drop-l.n]
	}
	n, err := l.ResponseWriter.Write(b)
	l.n += n
	l.s.mu.Lock()
	l.s.sent += n
	l.s.mu.Unlock()
	if l.s.drop > 0 && l.n >= l.s.drop {
		_ = http.NewResponseController(l.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// content is that of a file that nobody can guess.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// fetcher is a broker that sees these sources, and no other broker.
func fetcher(t *testing.T, cfg Config, sources ...*source) *Node {
	cfg.Name = "fetcher"
	n := startNode(t, cfg)
	n.peers.brokers = func() (out []membership.Member) {
		for _, s := range sources {
			out = append(out, s.member())
		}
		return out
	}
	return n
}

// Over a link that breaks again and again a blob arrives with hardly more bytes than it has.
func TestFetchOverALinkThatBreaks(t *testing.T) {
	blob := content(1, 3<<20)
	s := newSource(t, "b", blob)
	s.drop = 1 << 20
	n := fetcher(t, Config{}, s)
	require.NoError(t, n.peers.need(t.Context(), job.Digest(digest(blob)), nil))
	require.True(t, n.blobs.sound(t.Context(), job.Digest(digest(blob))))
	require.Greater(t, len(s.ranges), 2)
	require.LessOrEqual(t, s.sent, len(blob)*102/100)
}

// A broker that is started again goes on where its transfers ended.
func TestFetchGoesOnAfterARestart(t *testing.T) {
	blob := content(2, 2<<20)
	d := job.Digest(digest(blob))
	s := newSource(t, "b", blob)
	s.drop = 1<<20 + 1
	cfg := Config{DataDir: t.TempDir()}
	t.Run("before", func(t *testing.T) {
		n := fetcher(t, cfg, s)
		_, err := n.peers.downloadRest(t.Context(), s.member(), d)
		require.ErrorAs(t, err, new(*brokenError))
	})
	s.drop = 0
	n := fetcher(t, cfg, s)
	require.NoError(t, n.peers.need(t.Context(), d, nil))
	require.Equal(t, len(blob), s.sent)
}

// A broker that knows no ranges sends all of it, and what had come is written over.
func TestFetchFromWhoKnowsNoRanges(t *testing.T) {
	blob := content(3, 2<<20)
	d := job.Digest(digest(blob))
	first, second := newSource(t, "b", blob), newSource(t, "c", blob)
	first.drop, second.whole = 1<<20, true
	n := fetcher(t, Config{}, second)
	_, err := n.peers.downloadRest(t.Context(), first.member(), d)
	require.ErrorAs(t, err, new(*brokenError))
	require.NoError(t, n.peers.need(t.Context(), d, nil))
}

// Wrong bytes of one broker do not last: the blob comes from another.
func TestFetchAfterWrongBytes(t *testing.T) {
	blob := content(4, 1<<20)
	d := job.Digest(digest(blob))
	right := newSource(t, "c", blob)
	n := fetcher(t, Config{}, right)
	part, err := n.store.Blobs().Resume(string(d))
	require.NoError(t, err)
	_, err = part.WriteAt(make([]byte, 1000), 0)
	require.NoError(t, err)
	require.NoError(t, part.Close())
	require.NoError(t, n.peers.need(t.Context(), d, nil))
	require.True(t, n.blobs.sound(t.Context(), d))
}

// A blob that somebody is uploading comes from other brokers all the same: who uploads it may be slow.
func TestFetchBesideAnUpload(t *testing.T) {
	blob := content(5, 1<<20)
	d := job.Digest(digest(blob))
	n := fetcher(t, Config{}, newSource(t, "b", blob))
	part, err := n.store.Blobs().Resume(string(d))
	require.NoError(t, err)
	defer part.Close()
	require.NoError(t, n.peers.need(t.Context(), d, nil))
}

// Those who want the same blob at the same time share one transfer.
func TestFetchesAreShared(t *testing.T) {
	blob := content(6, 4<<20)
	s := newSource(t, "b", blob)
	n := fetcher(t, Config{}, s)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := n.peers.need(t.Context(), job.Digest(digest(blob)), nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, len(blob), s.sent)
}

// What an answer says of its range is not believed blindly.
func TestContentRange(t *testing.T) {
	for text, want := range map[string][2]int64{"bytes 5-9/10": {5, 10}, "bytes */10": {0, 10}} {
		start, total, ok := contentRange(text)
		require.True(t, ok, text)
		require.Equal(t, want, [2]int64{start, total}, text)
	}
	for _, text := range []string{"", "bytes", "bytes 5-9/*", "bytes x-9/10", "bytes 0-1/-1", "bytes 0-1/99999999999999"} {
		_, _, ok := contentRange(text)
		require.False(t, ok, text)
	}
}
