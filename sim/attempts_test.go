package sim

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// A peer that does not answer is asked again, after pauses that grow (rule S5), and the
// status says how often; when it is back the count of unanswered messages begins again.
func TestClusterCountsAttempts(t *testing.T) {
	inCluster(t, 2, nil, func(t *testing.T, c *Cluster) {
		peer := func() api.Peer {
			s, err := c.Client("b0").Coordination(context.Background())
			require.NoError(t, err)
			return s.PeerBrokers["b1"]
		}
		c.Eventually(2*time.Minute, "they have spoken", func() bool { return peer().Attempts > 0 })
		require.Zero(t, peer().Failing)
		c.Kill("b1")
		_, err := c.Submit("b0", "j", time.Second)
		require.NoError(t, err)
		c.Eventually(time.Minute, "b0 has tried three times", func() bool { return peer().Failing >= 3 })
		first := peer()
		require.GreaterOrEqual(t, first.Failed, first.Failing)
		require.GreaterOrEqual(t, first.Attempts, first.Failed)
		time.Sleep(5 * time.Minute)
		p := peer()
		require.Greater(t, p.Failing, first.Failing+4, "it goes on trying")
		require.Less(t, p.Failing, first.Failing+25, "about every 10 s of timeout and 30 s of pause")
		c.Restart("b1")
		c.Eventually(time.Minute, "b1 has answered", func() bool { return peer().Failing == 0 })
		require.GreaterOrEqual(t, peer().Failed, p.Failing)
	})
}
