package sim

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/test/race"
)

// The figures of docs/performance.md that virtual time gives: go test ./sim -run Figure -v

// ofOneGoroutine is called by a test that has a single goroutine and takes long: the race detector has nothing to find in it,
// and it runs beside others.
func ofOneGoroutine(t *testing.T) {
	t.Helper()
	if race.Enabled {
		t.Skip("it has no goroutine, and runs without the race detector: scripts/test.sh")
	}
	t.Parallel()
}

// spreading is how records get around.
type spreading struct {
	took []time.Duration // until all brokers had each on their disks
	news int             // times that a broker got one that it did not have
}

// spread submits a job that nobody can run every so often, at any of n brokers.
func spread(seed uint64, n, jobs int, every time.Duration, cfg broker.Config) (*Core, *spreading) {
	c, s := NewCore(seed, n, cfg), &spreading{}
	c.Run(10 * time.Second)
	born, holders := map[string]time.Time{}, map[string]int{}
	c.written = func(at, key string, old, _ []byte) {
		id, ok := isJob(key)
		if !ok {
			return
		}
		id, _, _ = strings.Cut(id, "~")
		if old == nil {
			s.news++
			if holders[id]++; holders[id] == n {
				s.took = append(s.took, c.Now.Sub(born[id]))
			}
		}
	}
	c.Sent = Traffic{}
	for i := range jobs {
		c.After(time.Duration(i)*every, func() {
			id := job.ID(fmt.Sprintf("j%04d", i))
			born[string(id)] = c.Now
			c.SubmitSpec(c.names[c.rand.IntN(n)], id, job.Spec{Constraints: []string{"nowhere"}, Args: []string{strings.Repeat("x", 300)}}, nil)
		})
	}
	c.Run(time.Duration(jobs) * every)
	return c, s
}

func percentile(d []time.Duration, p float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, int(p*float64(len(d))))]
}

// With news links a record reaches all of 50 brokers within 3 s at the 99th
// percentile (rule S1).
func TestFigureSpread(t *testing.T) {
	ofOneGoroutine(t)
	cfg := coreConfig()
	const jobs, every = 600, 100 * time.Millisecond
	c, s := spread(1, 50, jobs, every, cfg)
	sent := c.Sent
	c.Run(5 * time.Second)
	took := s.took
	require.Len(t, took, jobs, "some record has not reached all")
	t.Logf("50 brokers, %d jobs a second: all hold a record after %v at the median, %v at p99, %v at most",
		time.Second/every, percentile(took, 0.5).Round(time.Millisecond), percentile(took, 0.99).Round(time.Millisecond), slices.Max(took).Round(time.Millisecond))
	seconds := (jobs * every).Seconds()
	t.Logf("%.0f bytes and %.1f messages a second a broker, sent and answered; each record travels %.1f times for each time that it is news",
		float64(sent.Bytes)/seconds/50, float64(sent.Messages)/seconds/50, float64(sent.Records)/float64(s.news))
	require.Less(t, percentile(took, 0.99), 3*time.Second)
	require.Less(t, float64(sent.Records)/float64(s.news), 4.0, "copies of what the receiver had already")
}

// Without them the exchange alone does it within two of its intervals (rule S2).
func TestFigureSpreadByExchange(t *testing.T) {
	ofOneGoroutine(t)
	cfg := coreConfig()
	cfg.NewsLinks = false
	c, s := spread(1, 50, 100, 600*time.Millisecond, cfg)
	c.Run(2 * cfg.SyncInterval)
	took := s.took
	require.Len(t, took, 100, "some record has not reached all")
	t.Logf("50 brokers, exchange alone: all hold a record after %v at the median, %v at most",
		percentile(took, 0.5).Round(time.Second), slices.Max(took).Round(time.Second))
	require.Less(t, slices.Max(took), 2*cfg.SyncInterval)
}

// From the moment that SWIM reports an executor as failed its jobs are placed again
// within the redeploy delay and one second (rule J6).
func TestFigureReplacement(t *testing.T) {
	ofOneGoroutine(t)
	var took []time.Duration
	for seed := range uint64(20) {
		c := NewCore(seed, 5, coreConfig())
		c.Run(5 * time.Second)
		for i := range 20 {
			c.SubmitSpec("b0", job.ID(fmt.Sprintf("j%02d", i)), job.Spec{Resources: job.Resources{CPU: 200}}, nil)
		}
		c.Run(50 * time.Millisecond)
		placed := map[string]bool{}
		c.written = func(at, key string, old, now []byte) {
			if _, ok := isJob(key); !ok || old == nil || at != "b0" {
				return
			}
			was, is := decodeJob(old), decodeJob(now)
			if was.Place.Broker == "b3" && is.Place.Broker != "b3" && !placed[key] {
				placed[key] = true
				took = append(took, c.Now.Sub(c.start))
			}
		}
		c.Kill("b3")
		c.tellRoster() // at once: detection is not what is measured
		c.start = c.Now.Add(notice)
		c.Run(20 * time.Second)
		require.NotEmpty(t, placed, "seed %d", seed)
	}
	t.Logf("%d jobs placed again, %v after the detection at the median, %v at most",
		len(took), percentile(took, 0.5).Round(time.Millisecond), slices.Max(took).Round(time.Millisecond))
	require.GreaterOrEqual(t, slices.Min(took), coreConfig().RedeployDelay)
	require.LessOrEqual(t, slices.Max(took), coreConfig().RedeployDelay+time.Second)
}

// After a split of 20 brokers into halves, which all go on accepting and running, all
// ledgers are equal within a minute.
func TestFigureHeal(t *testing.T) {
	ofOneGoroutine(t)
	var took []time.Duration
	for seed := range uint64(3) {
		c := NewCore(seed, 20, coreConfig())
		c.Run(5 * time.Second)
		half := map[string]bool{}
		for _, name := range c.names[:10] {
			half[name] = true
		}
		c.Split(half)
		for i := range 200 {
			c.After(time.Duration(i)*300*time.Millisecond, func() {
				c.Submit(c.names[c.rand.IntN(20)], job.ID(fmt.Sprintf("j%03d", i)))
			})
		}
		c.Run(60 * time.Second)
		require.NotEmpty(t, c.Differences())
		c.Heal()
		healed := c.Now
		for (!c.sameClocks() || len(c.Differences()) > 0) && c.Now.Sub(healed) < 2*time.Minute {
			c.Run(100 * time.Millisecond)
		}
		took = append(took, c.Now.Sub(healed))
		c.Run(2 * time.Minute)
		c.Converged()
		require.Empty(t, c.Wrong())
	}
	t.Logf("10/10 split, 200 jobs: equal ledgers %v after the network heals, of which %v are SWIM's", took, detect)
	require.Less(t, slices.Max(took), time.Minute)
}

// sameClocks reports whether all disks hold the same clock: cheaper than Differences.
func (c *Core) sameClocks() bool {
	clockOf := func(name string) clock.Tips {
		v, err := ledger.StoredClock(c.nodes[name].disk.scan)
		must(err)
		return v
	}
	first := clockOf(c.names[0])
	for _, name := range c.names {
		if !clockOf(name).Equal(first) {
			return false
		}
	}
	return true
}

// How fast the record of an emergency is at all brokers, by the core's own messages alone:
// 0.2 to 5.2 ms one way, 0.1 to 2.1 ms a commit. A broker re-plans when the record comes, and
// writes it after that; what is measured is the write.
func TestFigureEmergencyRecords(t *testing.T) {
	ofOneGoroutine(t)
	for _, x := range []struct{ n, trials int }{{10, 20}, {100, 20}, {300, 3}} {
		n, trials := x.n, x.trials
		if n > 100 && os.Getenv("UCP_TRIALS") == "" {
			continue // it takes minutes
		}
		c := NewCore(7, n, coreConfig())
		c.Run(5 * time.Second)
		var took []time.Duration
		for i := range trials {
			id, began, holders := fmt.Sprintf("flood-%d", i), c.Now, 0
			key := string(ledger.RecordKey(ledger.Ref{Kind: kind.Emergency, Key: id}))
			c.written = func(_, written string, old, _ []byte) {
				if written == key && old == nil {
					if holders++; holders == n {
						took = append(took, c.Now.Sub(began))
					}
				}
			}
			c.Declare(c.names[c.rand.IntN(n)], emergency.Declaration{ID: emergency.ID(id), Type: "flood", Level: "high"})
			c.Run(time.Second)
		}
		require.Len(t, took, trials, "some record has not reached all of %d in a second", n)
		t.Logf("%d brokers, %d trials: all hold the record after %v at the median, %v at p99", n, trials,
			percentile(took, 0.5).Round(time.Millisecond), percentile(took, 0.99).Round(time.Millisecond))
		require.Less(t, percentile(took, 0.5), time.Second)
	}
}
