package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
)

// What has come of a job's inputs is told while they are on their way, from whom, and that it stalls.
func TestArrivingIsTold(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	content := bytes.Repeat([]byte("ucp."), 3<<18) // 3 MiB
	sum := sha256.Sum256(content)
	d := job.Digest(hex.EncodeToString(sum[:]))
	half := make(chan struct{})
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var from, to int
		switch {
		case strings.HasSuffix(r.URL.Path, "/chunks"):
			http.NotFound(w, r)
			return
		case r.Method == http.MethodHead:
			return
		}
		if got, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); got < 2 {
			to = len(content) - 1
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		if to == len(content)-1 {
			_, _ = w.Write(content[from : 3<<19])
			w.(http.Flusher).Flush()
			<-half
			from = 3 << 19
		}
		_, _ = w.Write(content[from : to+1])
	}))
	defer peer.Close()
	n.peers.brokers = func() []membership.Member {
		return []membership.Member{{Name: "b", Status: membership.Alive, HTTPAddr: peer.Listener.Addr().String()}}
	}
	require.Empty(t, n.peers.arrives("k"))
	n.peers.fetch(broker.Fetch{Key: "k", Digests: []job.Digest{d}, From: []string{"b"}})
	require.Eventually(t, func() bool {
		return n.peers.arrives("k") == "fetching its inputs: 1.5 MiB of 3.0 MiB are here, from b"
	}, 10*time.Second, 10*time.Millisecond, "%s", n.peers.arrives("k"))
	close(half)
	require.Eventually(t, func() bool { return n.peers.arrives("k") == "" }, 10*time.Second, 10*time.Millisecond, "%s", n.peers.arrives("k"))
	require.True(t, n.blobs.has(d))
}

func TestArriving(t *testing.T) {
	now := time.Unix(1000, 0)
	clock := func() time.Time { return now }
	all := newArriving(nil, clock)
	one := newArriving(all, clock)
	require.Equal(t, "0.0 MiB have come", one.text())
	one.note(1<<20, "b")
	require.Equal(t, "1.0 MiB have come, from b", one.text())
	one.sized(2<<20, 8<<20)
	one.sized(7<<20, 9<<20)
	require.Equal(t, "3.0 MiB of 8.0 MiB are here, from b", one.text(), "as it began")
	require.Equal(t, "1.0 MiB have come, from b", all.text())
	one.measuredBy(func() (here, size int64) { return 5 << 20, 8 << 20 })
	require.Equal(t, "5.0 MiB of 8.0 MiB are here, from b", one.text(), "some of it was in other blobs")
	now = now.Add(stallsAfter)
	require.Contains(t, one.text(), "; IT STALLS: nothing has come for 10s")
	one.note(1, "c")
	require.NotContains(t, one.text(), "STALLS")
	var none *arriving // a fetch that nobody counts
	none.note(1, "b")
	none.sized(1, 1)
	none.measuredBy(nil)
	require.Nil(t, arrivingOf(context.Background()))
}
