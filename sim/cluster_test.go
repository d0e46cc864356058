package sim

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/sim/simnet"
)

// inCluster runs a story on n brokers that see each other, in virtual time.
func inCluster(t *testing.T, n int, configure func(*node.Config), story func(*testing.T, *Cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, n, simnet.Options{Seed: 1, Jitter: 2 * time.Millisecond})
		c.Configure = configure
		defer c.Close()
		c.StartAll()
		story(t, c)
	})
}

// Three nodes, a job submitted at each: all are known at each, end, and the three
// clocks become equal.
func TestClusterThreeNodes(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		var ids []job.ID
		for _, name := range c.Names() {
			s, err := c.Submit(name, job.ID("job-of-"+name), 3*time.Second)
			require.NoError(t, err)
			require.Equal(t, 3, s.Replicas)
			require.False(t, s.Degraded)
			ids = append(ids, s.ID)
		}
		for _, name := range c.Names() {
			for _, id := range ids {
				require.True(t, c.Knows(name, id), "%s does not know %s", name, id)
				j, err := c.Client(name).Job(context.Background(), string(id), 30*time.Second)
				require.NoError(t, err)
				require.Equal(t, job.StateSucceeded, j.State)
			}
		}
		c.Eventually(70*time.Second, "the clocks are equal", func() bool { return clocksEqual(t, c) })
	})
}

func clocksEqual(t *testing.T, c *Cluster) bool {
	var first clock.Vector
	for i, name := range c.Names() {
		s, err := c.Client(name).Coordination(context.Background())
		require.NoError(t, err)
		if i == 0 {
			first = s.Clock
		} else if first.Compare(s.Clock) != clock.Equal {
			return false
		}
	}
	return len(first) > 0
}

// With every news link cut, the 60-second exchange alone brings a change to all
// of ten brokers (rule S2).
func TestClusterExchangeAlone(t *testing.T) {
	t.Parallel()
	noNews := func(cfg *node.Config) { cfg.NoNewsLinks, cfg.Replicas = true, 1 }
	inCluster(t, 10, noNews, func(t *testing.T, c *Cluster) {
		time.Sleep(3 * time.Minute)
		_, err := c.Submit("b4", "j", time.Second)
		require.NoError(t, err)
		took := c.Eventually(61*time.Second, "all ten brokers know the job", func() bool {
			for _, name := range c.Names() {
				if !c.Knows(name, "j") {
					return false
				}
			}
			return true
		})
		t.Logf("known at all after %v", took)
	})
}

// A broker whose power fails loses no acknowledged job: after its restart it has
// its name and its jobs back, and those that were unfinished run again under a
// new actor (rules I1, I4, J6).
func TestClusterCrashLosesNothing(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		for _, id := range []job.ID{"short", "long"} {
			takes := time.Second
			if id == "long" {
				takes = time.Minute
			}
			_, err := c.Submit("b1", id, takes)
			require.NoError(t, err)
		}
		j, err := c.Client("b1").Job(context.Background(), "short", 10*time.Second)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)
		before := j.Executor

		c.Kill("b1")
		c.Eventually(time.Minute, "the others see that it failed", func() bool {
			s, err := c.Client("b0").Coordination(context.Background())
			return err == nil && s.UnhealthyPeers == 1
		})
		require.True(t, c.Knows("b0", "short"))
		c.Restart("b1")
		c.Eventually(30*time.Second, "it is back", func() bool {
			s, err := c.Client("b0").Coordination(context.Background())
			return err == nil && s.HealthyPeers == 2
		})
		j, err = c.Client("b1").Job(context.Background(), "short", 0)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)
		require.Equal(t, before, j.Executor)

		c.Eventually(3*time.Minute, "the unfinished job has ended", func() bool {
			j, err := c.Client("b2").Job(context.Background(), "long", 0)
			return err == nil && j.State == job.StateSucceeded
		})
		j, err = c.Client("b1").Job(context.Background(), "long", 0)
		require.NoError(t, err)
		require.Equal(t, "b1", j.Owner)
		require.Equal(t, job.StateSucceeded, j.State)
	})
}

// A graceful stop is recorded as left, not as failed.
func TestClusterGracefulStop(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		c.Stop("b2")
		c.Eventually(10*time.Second, "it has left", func() bool {
			l, err := c.Client("b0").Members(context.Background())
			require.NoError(t, err)
			for _, m := range l.Members {
				if m.Name == "b2" {
					return m.Status == "left"
				}
			}
			return false
		})
	})
}

// The requests of running jobs never exceed a broker's capacity, and what waits
// says for what.
func TestClusterCapacity(t *testing.T) {
	t.Parallel()
	inCluster(t, 1, nil, func(t *testing.T, c *Cluster) {
		client := c.Client("b0")
		for _, id := range []job.ID{"first", "second", "third"} {
			spec := job.Spec{Command: "10s", Resources: job.Resources{CPU: 400}, Priority: job.Priority{User: job.DefaultUser}}
			_, err := client.Submit(context.Background(), spec, api.SubmitOptions{ID: id})
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		j, err := client.Job(context.Background(), "third", 0)
		require.NoError(t, err)
		require.Equal(t, job.StateQueued, j.State)
		require.Equal(t, "waiting at b0: needs 0.4 cores, 0.2 free", j.Why)
		j, err = client.Job(context.Background(), "third", 30*time.Second)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)

		_, err = client.Submit(context.Background(), job.Spec{Command: "1s", Constraints: []string{"camera"}, Priority: job.Priority{User: job.DefaultUser}}, api.SubmitOptions{ID: "nowhere"})
		require.NoError(t, err)
		j, err = client.Job(context.Background(), "nowhere", 0)
		require.NoError(t, err)
		require.Equal(t, job.StatePending, j.State)
		require.Equal(t, "the only live broker can't run it; lacking: constraint camera", j.Why)
	})
}

// While a lost broker may come back, an end that it may not know stays provisional; when an operator has given it up,
// with `ucp cluster forget`, the end is firm; and the broker is taken in again when it is back after all (rule M2). One
// that is there can't be given up.
func TestClusterForgetsABroker(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		ctx := context.Background()
		_, err := c.Client("b0").RemoveMember(ctx, "b2")
		require.ErrorContains(t, err, "b2 is there")
		c.Kill("b2")
		_, err = c.Submit("b0", "late", time.Second)
		require.NoError(t, err)
		provisional := func(name string) bool {
			j, err := c.Client(name).Job(ctx, "late", 10*time.Second)
			require.NoError(t, err)
			require.Equal(t, job.StateSucceeded, j.State)
			return j.Provisional
		}
		time.Sleep(10 * time.Minute)
		require.True(t, provisional("b0"))
		require.True(t, provisional("b1"))
		s, err := c.Client("b1").Coordination(ctx)
		require.NoError(t, err)
		require.Contains(t, strings.Join(s.Warnings, "\n"), "ucp cluster forget b2")

		r, err := c.Client("b0").RemoveMember(ctx, "b2")
		require.NoError(t, err)
		require.Equal(t, 1, r.Losses)
		for _, name := range []string{"b0", "b1"} {
			c.Eventually(3*time.Minute, "the end is firm at "+name, func() bool { return !provisional(name) })
		}
		c.Restart("b2")
		c.Eventually(3*time.Minute, "b2 takes part again, and says the same", func() bool {
			l, err := c.Client("b1").Members(ctx)
			require.NoError(t, err)
			i := slices.IndexFunc(l.Members, func(m api.Member) bool { return m.Name == "b2" })
			return l.Members[i].Roll == "open" && c.Knows("b2", "late") && !provisional("b2")
		})
	})
}
