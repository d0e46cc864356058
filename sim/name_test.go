package sim

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/node"
)

// A broker that is killed and starts again at once with other addresses is back in seconds (rule G2).
func TestClusterQuickRestartWithAnotherAddress(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		c.Kill("b1")
		time.Sleep(time.Second)
		c.Move("b1", "elsewhere")
		took := c.Eventually(10*time.Second, "all see it at its new address", func() bool {
			for _, name := range []string{"b0", "b2"} {
				l, err := c.Client(name).Members(context.Background())
				require.NoError(t, err)
				for _, m := range l.Members {
					if m.Name == "b1" && (m.Status != "alive" || m.Addr != c.Host("b1").GossipAddr()) {
						return false
					}
				}
			}
			return true
		})
		t.Logf("back after %v", took)
	})
}

// When every broker was sent an event of the greatest Lamport time there is, and a `dead` of the greatest incarnation
// of one of them, nobody is lost, and an emergency is felt everywhere within a second (rule G1).
func TestClusterForgedGossip(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, inEmergencies, func(t *testing.T, c *Cluster) {
		busy(t, c)
		attacker, err := c.Net.Host("attacker").Transport()
		require.NoError(t, err)
		packet := func(kinds []byte, m any) []byte {
			var b []byte
			require.NoError(t, codec.NewEncoderBytes(&b, &codec.MsgpackHandle{}).Encode(m))
			return append(kinds, b...)
		}
		for _, name := range c.Names() {
			for _, p := range [][]byte{
				packet([]byte{5}, map[string]any{"Incarnation": uint32(1<<32 - 1), "Node": "b1", "From": "b0"}),
				packet([]byte{8, 3}, map[string]any{"LTime": uint64(1<<64 - 1), "Name": "x", "Payload": []byte("x")}),
			} {
				_, err := attacker.WriteTo(p, c.Host(name).GossipAddr())
				require.NoError(t, err)
			}
		}
		for second := range 20 { // what is refused is felt by nobody, not even for a moment
			time.Sleep(time.Second)
			for _, name := range c.Names() {
				s, err := c.Client(name).Coordination(context.Background())
				require.NoError(t, err)
				require.Equal(t, 2, s.HealthyPeers, "%s after %d s", name, second)
			}
		}
		for _, name := range c.Names() {
			resp, err := (&http.Client{Transport: &http.Transport{DialContext: c.Host(name).Dial, DisableKeepAlives: true}}).Get("http://" + c.Host(name).HTTPAddr() + "/metrics")
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Contains(t, string(text), `ucp_gossip_refused_total{what="incarnation"}`)
			require.Contains(t, string(text), `ucp_gossip_refused_total{what="lamport"}`)
		}
		began := time.Now()
		_, _, err = c.Client("b0").Declare(context.Background(), emergency.Declaration{Type: "flood", Level: "critical"})
		require.NoError(t, err)
		require.Less(t, felt(c, began, "all brokers act", c.Suspended), time.Second)
	})
}

// A second broker of a name does not start, and nobody hears of it (rule G2).
func TestClusterSecondOfANameIsRefused(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		h := c.Net.Host("double")
		double, err := node.New(node.Config{
			Name: "b1", DataDir: "/data", RPCAddr: "-", HTTPAddr: h.HTTPAddr(), Insecure: true, CPU: 1000, Memory: 1 << 30,
			Network: hostNetwork{h}, FS: vfs.NewMem(), RetryJoin: []string{c.Host("b0").GossipAddr()},
			Runner: func(rc node.RunnerConfig) (node.Runner, error) { return newSleeper(rc.Report, newRuns()), nil },
		})
		require.NoError(t, err)
		before, err := c.Client("b0").Members(context.Background())
		require.NoError(t, err)
		err = double.Run(context.Background())
		var taken *gossip.NameTaken
		require.ErrorAs(t, err, &taken)
		require.Equal(t, c.Host("b1").GossipAddr(), taken.Addr)
		time.Sleep(time.Minute)
		after, err := c.Client("b0").Members(context.Background())
		require.NoError(t, err)
		require.Len(t, after.Members, 3)
		for i, m := range after.Members {
			require.Equal(t, before.Members[i].Actor, m.Actor)
			require.Equal(t, "alive", string(m.Status))
		}
	})
}
