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
	"github.com/urban-compute/ucp/chunk"
	"github.com/urban-compute/ucp/job"
)

// source is another broker that has a blob, at the end of a bad link.
type source struct {
	*httptest.Server
	name  string
	blob  []byte
	drop  int           // breaks each answer after so many bytes; 0: it does not
	whole bool          // it knows no ranges
	old   bool          // it knows no lists of chunks
	wrong int           // it sends other bytes from here on, unless that is 0
	list  []byte        // that it gives instead of the right one
	slow  time.Duration // a pause before each 16 KiB

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
	path := "/v1/blobs/" + digest(s.blob)
	if r.URL.Path == path+"/chunks" && !s.old {
		list := s.list
		if list == nil {
			l, _ := chunk.Split(r.Context(), bytes.NewReader(s.blob))
			list = l.Encode()
		}
		s.mu.Lock()
		s.sent += len(list)
		s.mu.Unlock()
		_, _ = w.Write(list)
		return
	}
	if r.URL.Path != path {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	s.mu.Unlock()
	if s.whole {
		w.Header().Set("Content-Length", strconv.Itoa(len(s.blob)))
		r.Header.Del("Range")
	}
	http.ServeContent(&leaky{ResponseWriter: w, s: s}, r, "", time.Time{}, bytes.NewReader(s.content()))
}

// content is what it sends.
func (s *source) content() []byte {
	if s.wrong == 0 {
		return s.blob
	}
	b := bytes.Clone(s.blob)
	for i := s.wrong; i < len(b); i++ {
		b[i] ^= 1
	}
	return b
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
	time.Sleep(l.s.slow * time.Duration(len(b)) / (16 << 10))
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

// bytes is how many it has sent.
func (s *source) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// asked is how often it was asked for bytes.
func (s *source) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ranges)
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
	require.Greater(t, s.asked(), 2)
	require.LessOrEqual(t, s.bytes(), len(blob)*102/100)
}

// A broker that is started again goes on where its transfers ended.
func TestFetchGoesOnAfterARestart(t *testing.T) {
	blob := content(2, 2<<20)
	d := job.Digest(digest(blob))
	s := newSource(t, "b", blob)
	s.drop, s.old = 1<<20+1, true
	cfg := Config{DataDir: t.TempDir()}
	t.Run("before", func(t *testing.T) {
		n := fetcher(t, cfg, s)
		_, err := n.peers.downloadRest(t.Context(), s.member(), d, false)
		require.ErrorAs(t, err, new(*brokenError))
	})
	s.drop = 0
	n := fetcher(t, cfg, s)
	require.NoError(t, n.peers.need(t.Context(), d, nil))
	require.Equal(t, len(blob), s.bytes())
}

// A broker that knows no ranges sends all of it, and what had come is written over.
func TestFetchFromWhoKnowsNoRanges(t *testing.T) {
	blob := content(3, 2<<20)
	d := job.Digest(digest(blob))
	first, second := newSource(t, "b", blob), newSource(t, "c", blob)
	first.drop, first.old, second.whole, second.old = 1<<20, true, true, true
	n := fetcher(t, Config{}, second)
	_, err := n.peers.downloadRest(t.Context(), first.member(), d, false)
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
	require.LessOrEqual(t, s.bytes(), len(blob)*102/100)
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

// From several sources a blob comes from all of them, each byte once.
func TestFetchFromSeveralSources(t *testing.T) {
	blob := content(21, 6<<20)
	a, b, c := newSource(t, "a", blob), newSource(t, "b", blob), newSource(t, "c", blob)
	for _, s := range []*source{a, b, c} {
		s.slow = 2 * time.Millisecond
	}
	n := fetcher(t, Config{}, a, b, c)
	require.NoError(t, n.peers.need(t.Context(), job.Digest(digest(blob)), nil))
	all := a.bytes() + b.bytes() + c.bytes()
	require.LessOrEqual(t, all, len(blob)*102/100)
	for _, s := range []*source{a, b, c} {
		require.Greater(t, s.bytes(), len(blob)/6, s.name)
	}
}

// Brokers of earlier versions know no lists: they are asked for ranges, by the list of one that does, or for the whole.
func TestFetchFromEarlierBrokers(t *testing.T) {
	blob := content(22, 3<<20)
	for name, old := range map[string][2]bool{"both": {true, true}, "the first": {true, false}, "the second": {false, true}} {
		t.Run(name, func(t *testing.T) {
			a, b := newSource(t, "a", blob), newSource(t, "b", blob)
			a.old, b.old = old[0], old[1]
			n := fetcher(t, Config{}, a, b)
			require.NoError(t, n.peers.need(t.Context(), job.Digest(digest(blob)), nil))
			require.LessOrEqual(t, a.bytes()+b.bytes(), len(blob)*102/100)
		})
	}
}

// Who sends other bytes costs the chunk that it has sent, and is asked no more; who gives a false list costs what the list says
// wrongly.
func TestFetchFromLiars(t *testing.T) {
	blob := content(23, 4<<20)
	d := job.Digest(digest(blob))
	t.Run("bytes", func(t *testing.T) {
		a, b := newSource(t, "a", blob), newSource(t, "b", blob)
		a.wrong = 1
		b.slow = time.Millisecond
		n := fetcher(t, Config{}, b, a)
		require.NoError(t, n.peers.need(t.Context(), d, nil))
		require.LessOrEqual(t, a.asked(), 1)
	})
	t.Run("list", func(t *testing.T) {
		a, b := newSource(t, "a", blob), newSource(t, "b", blob)
		a.wrong = len(blob) / 2
		l, err := chunk.Split(t.Context(), bytes.NewReader(a.content()))
		require.NoError(t, err)
		a.list = l.Encode()
		n := fetcher(t, Config{}, a, b)
		require.NoError(t, n.peers.need(t.Context(), d, nil))
		require.LessOrEqual(t, a.bytes()+b.bytes(), 2*len(blob))
	})
	t.Run("list, and no bytes", func(t *testing.T) {
		a, b := newSource(t, "a", blob), newSource(t, "b", blob)
		l, err := chunk.Split(t.Context(), bytes.NewReader(content(24, len(blob))))
		require.NoError(t, err)
		a.list = l.Encode()
		n := fetcher(t, Config{}, a, b)
		require.NoError(t, n.peers.need(t.Context(), d, nil))
	})
	t.Run("alone", func(t *testing.T) { // what it sends is no progress, for which it would be asked again and again
		a := newSource(t, "a", blob)
		a.wrong = 1
		n := fetcher(t, Config{}, a)
		came, err := n.peers.find(t.Context(), d, nil)
		require.Error(t, err)
		require.Zero(t, came)
	})
	t.Run("rubbish instead of a list", func(t *testing.T) {
		a := newSource(t, "a", blob)
		a.list = []byte("rubbish")
		n := fetcher(t, Config{}, a)
		require.NoError(t, n.peers.need(t.Context(), d, nil))
		require.LessOrEqual(t, a.bytes(), len(blob)*102/100)
	})
}

// What one source is much slower with than another the other one takes over.
func TestFetchFromASlowSource(t *testing.T) {
	blob := content(25, 2<<20)
	a, b := newSource(t, "a", blob), newSource(t, "b", blob)
	a.slow = 4 * time.Second
	n := fetcher(t, Config{}, b, a)
	began := time.Now()
	require.NoError(t, n.peers.need(t.Context(), job.Digest(digest(blob)), nil))
	require.Less(t, time.Since(began), 20*time.Second)
	require.LessOrEqual(t, a.bytes(), 256<<10)
}

// Of another version of a blob that is here only what has changed comes.
func TestFetchOfAnotherVersion(t *testing.T) {
	before := content(26, 8<<20)
	after := bytes.Clone(before)
	for i := range 4 { // 1 % in four places, one of which moves what follows
		copy(after[i*2<<20:], content(uint64(30+i), 20<<10))
	}
	after = append(append(bytes.Clone(after[:1<<20]), content(40, 1000)...), after[1<<20:]...)
	s := newSource(t, "b", after)
	n := fetcher(t, Config{}, s)
	status, _ := request(t, n, "PUT", "/v1/blobs/"+digest(before), before)
	require.Equal(t, http.StatusCreated, status)
	require.NoError(t, n.peers.need(t.Context(), job.Digest(digest(after)), nil))
	require.LessOrEqual(t, s.bytes(), len(after)*5/100)
	t.Logf("%.2f %%", 100*float64(s.bytes())/float64(len(after)))
}

// A broker that is started again in the middle goes on with the chunks that it has, wherever they are.
func TestFetchOfChunksGoesOnAfterARestart(t *testing.T) {
	blob := content(27, 4<<20)
	d := job.Digest(digest(blob))
	s := newSource(t, "b", blob)
	cfg := Config{DataDir: t.TempDir()}
	t.Run("before", func(t *testing.T) {
		n := fetcher(t, cfg, s)
		part, err := n.store.Blobs().Resume(string(d))
		require.NoError(t, err)
		l, err := chunk.Split(t.Context(), bytes.NewReader(blob))
		require.NoError(t, err)
		require.NoError(t, part.KeepChunks(l.Encode()))
		for i, c := range l {
			if i%2 == 1 {
				_, err := part.WriteAt(bytes.Clone(blob[c.At:c.End()]), c.At)
				require.NoError(t, err)
			}
		}
		require.NoError(t, part.Close())
	})
	n := fetcher(t, cfg, s)
	require.Zero(t, n.store.Blobs().Came(string(d)), "a client would not know what to send")
	require.NoError(t, n.peers.need(t.Context(), d, nil))
	require.Less(t, s.bytes(), len(blob)*60/100)
}

// The list of chunks of a blob is told to brokers, is kept beside it, and goes with it.
func TestChunksRoute(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	blob := content(28, 1<<20)
	for _, b := range [][]byte{blob, []byte("small")} {
		status, _ := request(t, n, "GET", "/v1/blobs/"+digest(b)+"/chunks", nil)
		require.Equal(t, http.StatusNotFound, status)
		status, _ = request(t, n, "PUT", "/v1/blobs/"+digest(b), b)
		require.Equal(t, http.StatusCreated, status)
	}
	for range 2 {
		status, body := request(t, n, "GET", "/v1/blobs/"+digest(blob)+"/chunks", nil)
		require.Equal(t, http.StatusOK, status)
		l, err := chunk.Decode([]byte(body), int64(len(blob)))
		require.NoError(t, err)
		require.EqualValues(t, len(blob), l.Size())
	}
	kept, err := n.store.Blobs().Chunks(digest(blob), chunk.MaxEncoded(1<<20))
	require.NoError(t, err)
	require.NotEmpty(t, kept)
	status, _ := request(t, n, "GET", "/v1/blobs/"+digest([]byte("small"))+"/chunks", nil)
	require.Equal(t, http.StatusNotFound, status)
}

// No more than --max-rate comes from a peer in a second, and goes to it; a change counts for what is on its way.
func TestMaxRate(t *testing.T) {
	blob := content(29, 300<<10)
	s := newSource(t, "b", blob)
	n := fetcher(t, Config{MaxRate: 100 << 10}, s)
	began := time.Now()
	require.NoError(t, n.peers.need(t.Context(), job.Digest(digest(blob)), nil))
	require.Greater(t, time.Since(began), 2*time.Second)

	get := func(more ...string) time.Duration {
		began := time.Now()
		status, _ := request(t, n, "GET", "/v1/blobs/"+digest(blob), nil, more...)
		require.Equal(t, http.StatusOK, status)
		return time.Since(began)
	}
	require.Less(t, get(), time.Second, "a client is not bounded")
	require.Greater(t, get("X-UCP-To", "fetcher"), 2*time.Second)
	slower := time.AfterFunc(500*time.Millisecond, func() { n.SetMaxRate(0) })
	defer slower.Stop()
	require.Less(t, get("X-UCP-To", "fetcher"), 2*time.Second)
	_, err := Config{DataDir: "x", MaxRate: 100}.complete()
	require.ErrorContains(t, err, "--max-rate 100: at least 4096")
}

// Who waits a millisecond too long each time may catch up: otherwise a rate of 8 MiB a second is half of that.
func TestRatesAreReached(t *testing.T) {
	for _, most := range []int64{LeastMaxRate, 1 << 20, 8 << 20, 64 << 20} {
		burst := newRates(most, func(int) {}).of("to", "b").Burst()
		require.GreaterOrEqual(t, burst, ratePiece, "a piece is let through")
		require.LessOrEqual(t, burst, 1<<20)
		if most <= 16<<20 {
			require.GreaterOrEqual(t, int64(burst), most/20)
		}
	}
}
