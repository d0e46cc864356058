package sim

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/sim/simnet"
)

// A broker's disk is restored from a copy. It starts alone, takes jobs, and meets the others: its name has two tips, and
// it begins another start while a job runs there that may run only once. The job goes on, and ends once, everywhere
// (rules K2, K3, P3); the others reach it at its new actor, and know where the job runs.
func TestClusterRestoredDiskGoesOn(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		ctx := context.Background()
		actor := func(at string) string {
			l, err := c.Client(at).Members(ctx)
			require.NoError(t, err)
			for _, m := range l.Members {
				if m.Name == "b2" {
					return string(m.Actor)
				}
			}
			return ""
		}
		_, err := c.Submit("b2", "before", 10*time.Millisecond)
		require.NoError(t, err)
		copied := c.Backup("b2")
		_, err = c.Submit("b2", "lost", 10*time.Millisecond)
		require.NoError(t, err)
		c.Eventually(time.Minute, "b0 knows of it", func() bool { return c.Knows("b0", "lost") })
		c.Kill("b2")
		c.Restore("b2", copied)
		c.Net.Partition([]*simnet.Host{c.Host("b0"), c.Host("b1")}, []*simnet.Host{c.Host("b2")})
		c.Restart("b2")
		c.Eventually(time.Minute, "b2 is up", func() bool { return actor("b2") != "" })
		never := false
		spec := job.Spec{Command: "3m", Redeploy: &never, Constraints: []string{"name=b2"}, Priority: job.Priority{User: job.DefaultUser}}
		_, err = c.Client("b2").Submit(ctx, spec, api.SubmitOptions{ID: "long"})
		require.NoError(t, err)
		c.Eventually(time.Minute, "it runs", func() bool { return c.Started("b2", "long") == 1 })
		was := actor("b2")

		c.Net.HealAll()
		took := c.Eventually(2*time.Minute, "it begins another start, and b0 and b1 know", func() bool {
			is := actor("b2")
			return is > was && actor("b0") == is && actor("b1") == is
		})
		t.Logf("after %v", took)
		for _, at := range c.Names() {
			j, err := c.Client(at).Wait(ctx, "long", api.WaitOptions{})
			require.NoError(t, err)
			require.Equal(t, job.StateSucceeded, j.State, "%s: %s", at, j.Reason)
			require.True(t, c.Knows(at, "lost"))
		}
		require.Equal(t, 1, c.Started("b2", "long"))
		c.Eventually(3*time.Minute, "all hold the same, by one tip of b2", func() bool {
			var last api.Digest
			for _, at := range c.Names() {
				d, err := c.Client(at).Digest(ctx, false)
				require.NoError(t, err)
				if len(clock.Tips(d.Clock).Of("b2")) != 1 || last.Digest != "" && d.Digest != last.Digest {
					return false
				}
				last = d
			}
			return true
		})
	})
}
