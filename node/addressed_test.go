package node

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// TestWrongAddress gives b the HTTP address of c, as when an address has passed to another machine: what c
// answers there is no contact with b, no copy at b, and whoever looks sees who answers (rule X3).
func TestWrongAddress(t *testing.T) {
	join := func(n *Node) []string { return []string{n.members.pool.Load().Addr()} }
	a := startNode(t, Config{Name: "a", Replicas: 3, AckTimeout: time.Second})
	c := startNode(t, Config{Name: "c", Join: join(a)})
	startNode(t, Config{Name: "b", Join: join(a), HTTPAdvertise: c.listener.Addr().String()})

	var peers map[string]any
	peer := func(name, field string) any {
		_, body := request(t, a, "GET", "/broker/coordination-status", nil)
		peers, _ = fields(t, body)["peer_brokers"].(map[string]any)
		p, _ := peers[name].(map[string]any)
		return p[field]
	}
	require.Eventually(t, func() bool { return peer("b", "stranger") != nil && peer("c", "healthy") == true }, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, "c", clock.Actor(peer("b", "stranger").(string)).Broker())
	require.Equal(t, false, peer("b", "healthy"))
	require.Nil(t, peer("c", "stranger"))

	input := []byte("an input that only a has")
	status, body := request(t, a, "PUT", "/v1/blobs/"+digest(input), input)
	require.Equal(t, http.StatusCreated, status, body)
	spec := fmt.Sprintf(`{"driver": "process", "command": "true", "inputs": {"f": %q}}`, digest(input))
	status, body = request(t, a, "POST", "/v1/jobs", []byte(spec))
	require.Equal(t, http.StatusAccepted, status, body)
	require.EqualValues(t, 2, fields(t, body)["replicas"], "a and c: %s", body)
	require.Equal(t, true, fields(t, body)["degraded"], body)
}

// TestMisdirected addresses requests to other brokers, and to another start of this one.
func TestMisdirected(t *testing.T) {
	n := startNode(t, Config{Name: "n"})
	for to, want := range map[string]int{
		"": http.StatusOK, "n": http.StatusOK, string(n.starts.actor()): http.StatusOK,
		"m": http.StatusMisdirectedRequest, "n~00000000": http.StatusMisdirectedRequest, "m" + string(n.starts.actor()[1:]): http.StatusMisdirectedRequest,
	} {
		status, body := request(t, n, "GET", "/healthz", nil, "X-UCP-To", to)
		require.Equal(t, want, status, "to %q: %s", to, body)
		if want == http.StatusMisdirectedRequest {
			require.Contains(t, body, "this is "+string(n.starts.actor())+", not "+to)
		}
	}
}
