package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// A peer that does not answer is asked again, after pauses that grow (rule S5), and the
// status says how often; when it is back the count of unanswered messages begins again.
func TestClusterCountsAttempts(t *testing.T) {
	t.Parallel()
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

// One of two brokers has a machine that can carry out nothing: no job fails, since what it returns runs at the other one
// (rule J12). It takes no more, which all can see, until its probes have found that it can again.
func TestClusterSpoiltBroker(t *testing.T) {
	t.Parallel()
	inCluster(t, 2, nil, func(t *testing.T, c *Cluster) {
		ctx := context.Background()
		c.Break("b1", "no space left on device")
		for i := range 20 {
			_, err := c.Submit(fmt.Sprintf("b%d", i%2), job.ID(fmt.Sprintf("j%d", i)), time.Second)
			require.NoError(t, err)
		}
		returned := 0
		for i := range 20 {
			var j api.Job
			c.Eventually(time.Minute, "each job ends", func() (ended bool) {
				var err error
				j, err = c.Client("b0").Job(ctx, fmt.Sprintf("j%d", i), 0)
				return err == nil && j.State.Final()
			})
			require.Equal(t, job.StateSucceeded, j.State, j.Reason)
			require.Equal(t, "b0", j.Executor)
			require.Zero(t, j.Try)
			for _, x := range j.Returned {
				returned++
				require.Equal(t, "b1", x.Executor)
				require.Equal(t, "no space left on device", x.Reason)
			}
		}
		require.Positive(t, returned)
		require.Less(t, returned, 20, "it takes nothing more after the first")
		withdrawn := func(at string) string {
			l, err := c.Client(at).Members(ctx)
			require.NoError(t, err)
			for _, m := range l.Members {
				if m.Name == "b1" {
					return m.Withdrawn
				}
			}
			return "b1 is not there"
		}
		require.Equal(t, "no space left on device", withdrawn("b0"))
		s, err := c.Client("b1").Coordination(ctx)
		require.NoError(t, err)
		require.Equal(t, "no space left on device", s.Withdrawn)
		require.False(t, s.DiskFull)
		require.Contains(t, strings.Join(s.Warnings, "\n"), "takes no jobs")

		c.Break("b1", "")
		c.Eventually(2*time.Minute, "a probe succeeds, and all see it", func() bool { return withdrawn("b0") == "" })
		for i := range 4 {
			_, err := c.Submit("b1", job.ID(fmt.Sprintf("k%d", i)), time.Second)
			require.NoError(t, err)
		}
		c.Eventually(time.Minute, "it runs jobs again", func() bool {
			l, err := c.Client("b0").Jobs(ctx, api.ListOptions{})
			require.NoError(t, err)
			return slices.ContainsFunc(l.Jobs, func(j api.Job) bool { return j.State == job.StateSucceeded && j.Executor == "b1" })
		})
	})
}
