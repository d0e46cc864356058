package sim

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/sim/simnet"
	"github.com/urban-compute/ucp/test/race"
)

// ends reports whether all of these jobs have ended at every broker, with one and the
// same accepted result.
func (c *Cluster) ends(ids []job.ID) bool {
	for _, id := range ids {
		var first *api.Accepted
		for _, name := range c.Names() {
			j, err := c.Client(name).Job(context.Background(), string(id), 0)
			if err != nil || j.State != job.StateSucceeded || j.Accepted == nil {
				return false
			}
			if first == nil {
				first = j.Accepted
			}
			if first.Attempt != j.Accepted.Attempt || first.Executor != j.Accepted.Executor {
				return false
			}
		}
	}
	return true
}

// sameLedgers reports whether all brokers hold the same: what ucp cluster verify asks.
func (c *Cluster) sameLedgers() bool {
	var first api.Digest
	for i, name := range c.Names() {
		d, err := c.Client(name).Digest(context.Background(), false)
		if err != nil {
			return false
		}
		if i == 0 {
			first = d
		}
		if d.Digest != first.Digest || d.Records != first.Records {
			return false
		}
	}
	return true
}

// One story at 3 and at 20 brokers, whole nodes: an executor's power fails and its
// jobs run elsewhere; the network splits into halves that both go on, also with one job
// that was submitted in both; all reunite within a sync interval, and every acknowledged
// job has ended, everywhere alike (rules J6, J7, J1).
func TestClusterSchedule(t *testing.T) {
	t.Parallel()
	for _, n := range clusterSizes() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inCluster(t, n, nil, func(t *testing.T, c *Cluster) { clusterSchedule(t, c, n) })
		})
	}
}

func clusterSchedule(t *testing.T, c *Cluster, n int) {
	var ids []job.ID
	submit := func(at string, id job.ID, takes time.Duration) {
		s, err := c.Submit(at, id, takes)
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.Replicas, 1)
		ids = append(ids, id)
	}
	// A job a broker, owned by b0: each runs on another.
	for i := range n {
		submit("b0", job.ID(fmt.Sprintf("wide%d", i)), 5*time.Minute)
	}
	time.Sleep(5 * time.Second)
	var victim string // a broker of what will be the other half that runs some of them
	var hit []job.ID
	for _, name := range c.Names()[n/2:] {
		for _, id := range ids {
			if c.Started(name, id) > 0 && name != "b0" && (victim == "" || victim == name) {
				victim, hit = name, append(hit, id)
			}
		}
	}
	require.NotEmpty(t, hit)
	c.Kill(victim)
	detected := c.Eventually(time.Minute, "the owner sees that it failed", func() bool {
		s, err := c.Client("b0").Coordination(context.Background())
		return err == nil && s.UnhealthyPeers == 1
	})
	moved := c.Eventually(time.Minute, "its jobs are placed elsewhere", func() bool {
		for _, id := range hit {
			j, err := c.Client("b0").Job(context.Background(), string(id), 0)
			if err != nil || j.Executor == victim {
				return false
			}
		}
		return true
	})
	t.Logf("%d brokers: failure seen after %v, %d jobs placed again %v later", n, detected.Round(time.Millisecond), len(hit), moved.Round(time.Millisecond))
	require.LessOrEqual(t, moved, 4*time.Second, "redeploy_delay and one second")
	c.Restart(victim)
	c.Eventually(time.Minute, "it is back", func() bool {
		s, err := c.Client("b0").Coordination(context.Background())
		return err == nil && s.HealthyPeers == n-1 && !s.PeerBrokers[victim].ByMessages // gossip says so, too
	})

	// The network splits. Both sides accept, run and answer.
	left, right := []*simnet.Host{}, []*simnet.Host{}
	for i, name := range c.Names() {
		if i < n/2 {
			left = append(left, c.Host(name))
		} else {
			right = append(right, c.Host(name))
		}
	}
	c.Net.Partition(left, right)
	time.Sleep(20 * time.Second)
	submit("b0", "in-the-left", 2*time.Second)
	submit(victim, "in-the-right", 2*time.Second)
	submit("b0", "in-both", 2*time.Second)
	_, err := c.Submit(victim, "in-both", 2*time.Second)
	require.NoError(t, err)
	for at, id := range map[string]job.ID{"b0": "in-the-left", victim: "in-the-right"} {
		j, err := c.Client(at).Job(context.Background(), string(id), 30*time.Second)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State, "%s at %s", id, at)
	}
	j, err := c.Client(victim).Job(context.Background(), "in-both", 30*time.Second)
	require.NoError(t, err)
	require.Equal(t, job.StateSucceeded, j.State)
	time.Sleep(30 * time.Second)

	c.Net.HealAll()
	took := c.Eventually(time.Minute, "all ledgers are equal", c.sameLedgers)
	t.Logf("%d brokers: equal ledgers %v after the network healed", n, took.Round(time.Millisecond))
	c.Eventually(15*time.Minute, "every acknowledged job has ended, everywhere alike", func() bool {
		time.Sleep(time.Second)
		return c.ends(ids)
	})
	c.Eventually(2*time.Minute, "all ledgers are equal", c.sameLedgers)
	j, err = c.Client("b0").Job(context.Background(), "in-both", 0)
	require.NoError(t, err)
	require.Equal(t, 1, len(j.Superseded), "both sides ran it: one verdict counts")
}

// clusterSizes are the numbers of brokers that are tried. The race detector of go1.26 itself crashes now and then
// while twenty brokers run on virtual time ("CHECK failed: tsan_rtl.cpp:346", or a fault in raceacquirectx, below
// runtime.timer.unlockAndRun), so it watches three; the test suite runs both without it.
func clusterSizes() []int {
	if race.Enabled {
		return []int{3}
	}
	return []int{3, 20}
}

// In half an hour at 10 % packet loss nobody is taken for lost: every job is started
// once and keeps its owner.
func TestClusterNoFalseRedeployment(t *testing.T) {
	t.Parallel()
	for _, n := range clusterSizes() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := NewCluster(t, n, simnet.Options{Seed: 3, Jitter: 5 * time.Millisecond, Loss: 0.1})
				defer c.Close()
				c.StartAll()
				half := 30 * time.Minute
				var ids []job.ID
				for i := range n {
					id := job.ID(fmt.Sprintf("long%d", i))
					_, err := c.Submit(c.Names()[i], id, half-time.Minute)
					require.NoError(t, err)
					ids = append(ids, id)
				}
				time.Sleep(half)
				c.Eventually(time.Minute, "all have ended", func() bool { return c.ends(ids) })
				for i, id := range ids {
					starts := 0
					for _, name := range c.Names() {
						starts += c.Started(name, id)
					}
					require.Equal(t, 1, starts, "%s was started more than once", id)
					j, err := c.Client("b0").Job(context.Background(), string(id), 0)
					require.NoError(t, err)
					require.Equal(t, c.Names()[i], j.Owner, "%s was taken over", id)
					require.Equal(t, uint64(1), j.Attempt, "%s was placed again", id)
				}
			})
		})
	}
}
