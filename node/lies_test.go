package node

import (
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// What a peer says that does not validate is counted and logged at ERROR, with the peer's name: once a second, however often it
// says so (rules L10, X1). What validates, and can't be true, is told likewise (broker TestEveryLie has all kinds).
func TestLiesAreCountedAndLogged(t *testing.T) {
	far := clock.NewTips(clock.Dot{Actor: "b~1", Counter: math.MaxUint64})
	bad := &wire.Delta{Records: []wire.Encoded{{Kind: "dance", Key: "k", Dots: clock.NewVector(clock.Dot{Actor: "b~1", Counter: 1})}}}
	const said = "what a peer says does not validate"
	for name, lie := range map[string]struct {
		tell    func(t *testing.T, n *Node)
		log     string
		counted string
	}{
		"a clock of 2^64-1": {func(t *testing.T, n *Node) {
			status, body := request(t, n, "POST", "/broker/sync-metadata", wire.Encode(&wire.Message{Version: wire.Version, From: "b", Actor: "b~1", Clock: far}))
			require.Equal(t, http.StatusBadRequest, status, body)
		}, said, "ucp_sync_malformed_total 5"},
		"a reply with such a clock": {func(t *testing.T, n *Node) {
			peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(wire.Encode(&wire.Reply{Version: wire.Version, From: "b", Actor: "b~1", Clock: far}))
			}))
			defer peer.Close()
			_, err := n.peers.exchange(t.Context(), replication.Send{To: "b", Addr: peer.Listener.Addr().String(), Message: wire.Message{Version: wire.Version, From: "a", Actor: "a~1"}})
			require.Error(t, err)
		}, said, "ucp_sync_malformed_total 5"},
		"a record that nobody can read": {func(t *testing.T, n *Node) {
			status, body := request(t, n, "POST", "/broker/sync-metadata", wire.Encode(&wire.Message{Version: wire.Version, From: "b", Actor: "b~1", Delta: bad}))
			require.Equal(t, http.StatusOK, status, body)
		}, "records of a peer do not validate", "ucp_sync_invalid_records_total 5"},
		"more updates than there are": {func(t *testing.T, n *Node) {
			own := clock.NewTips(clock.Dot{Actor: n.starts.actor(), Counter: 1 << 40})
			status, body := request(t, n, "POST", "/broker/sync-metadata", wire.Encode(&wire.Message{Version: wire.Version, From: "b", Actor: "b~1", Clock: own}))
			require.Equal(t, http.StatusOK, status, body)
		}, "a peer says what it can't know", `ucp_decisions_total{what="breaches_of_peers"} 5`},
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			n := startNode(t, Config{Name: "a", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
			for range 5 {
				lie.tell(t, n)
			}
			require.Eventually(t, func() bool { // what the core has counted is published each second
				_, body := request(t, n, "GET", "/metrics", nil)
				return strings.Contains(body, lie.counted)
			}, time.Minute, 10*time.Millisecond)
			require.Positive(t, log.count(lie.log))
			require.LessOrEqual(t, log.count(lie.log), 5)
			require.Positive(t, log.count("peer=b"))
		})
	}
}
