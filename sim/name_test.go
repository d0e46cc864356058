package sim

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/node"
)

// A broker that is killed and starts again at once with other addresses is back in seconds (rule G2).
func TestClusterQuickRestartWithAnotherAddress(t *testing.T) {
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

// A second broker of a name does not start, and nobody hears of it (rule G2).
func TestClusterSecondOfANameIsRefused(t *testing.T) {
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
