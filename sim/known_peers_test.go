package sim

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// A broker that starts alone still counts those that it had met as members: a verdict
// which they do not know stays provisional (rule A3), and when they return they meet
// again by themselves, though nobody was told where anybody is (rule S6).
func TestClusterRestartAloneRemembersMembers(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		c.Kill("b1")
		c.Kill("b2")
		c.Eventually(time.Minute, "b0 is alone", func() bool {
			s, err := c.Client("b0").Coordination(context.Background())
			return err == nil && s.HealthyPeers == 0
		})
		_, err := c.Submit("b0", "j", time.Second)
		require.NoError(t, err)
		provisional := func() bool {
			j, err := c.Client("b0").Job(context.Background(), "j", 10*time.Second)
			require.NoError(t, err)
			require.Equal(t, job.StateSucceeded, j.State)
			require.Equal(t, 3, j.Members)
			list, err := c.Client("b0").Jobs(context.Background(), api.ListOptions{})
			require.NoError(t, err)
			require.Equal(t, j.Provisional, list.Jobs[0].Provisional, "a list says the same")
			return j.Provisional
		}
		require.True(t, provisional())
		c.Kill("b0")
		c.Restart("b0")
		c.Eventually(time.Minute, "b0 answers", func() bool { return c.Knows("b0", "j") })
		time.Sleep(20 * time.Second)
		require.True(t, provisional(), "nobody else knows it yet")
		c.Restart("b1") // it looks for b0 by --retry-join
		c.Restart("b2")
		c.Eventually(3*time.Minute, "all know it", func() bool { return !provisional() })
	})
}

// A broker that has left Serf is not waited for any more, also after a restart.
func TestClusterRestartForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		c.Stop("b2")
		time.Sleep(10 * time.Second)
		c.Kill("b0")
		c.Kill("b1")
		c.Restart("b1")
		c.Eventually(time.Minute, "b1 knows only b0", func() bool {
			s, err := c.Client("b1").Coordination(context.Background())
			return err == nil && s.TotalPeers == 1 && s.UnhealthyPeers == 1
		})
	})
}
