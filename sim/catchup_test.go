package sim

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// history is a disk with so many finished jobs, of about 600 bytes each, all of one earlier start of a broker.
func history(jobs int, now time.Time) disk {
	d, self := disk{}, clock.Actor("b0~00000000")
	l := ledger.New(self, d, kind.Schemas[kind.Job])
	at := clock.HybridAt(now)
	for i := range jobs {
		spec := job.Spec{Command: "work", Args: []string{strings.Repeat("x", 300)}, Priority: job.Priority{User: job.DefaultUser}}
		must(spec.Complete())
		id, digest := job.ID(fmt.Sprintf("h%06d", i)), spec.Digest()
		for range 2 { // it is created, and ends
			_, err := l.Apply(kind.JobRef(job.Key(id, digest)), func(dot clock.Dot, old ledger.Record) ledger.Record {
				if old == nil {
					return job.New(id, spec, digest, job.Stamp{Dot: dot, At: at})
				}
				return old.(*job.Record).With(dot, func(r *job.Record) {
					r.AddVerdict(job.Verdict{At: at, Dot: dot, Outcome: job.Succeeded})
				})
			})
			must(err)
		}
		if i%1000 == 999 || i == jobs-1 {
			b := l.Take()
			for _, op := range b.Ops() {
				d[string(op.Key)] = op.Value
			}
			l.Stable(b)
		}
	}
	return d
}

// elders makes a core of n brokers that hold the same finished jobs.
func elders(seed uint64, n, jobs int, cfg broker.Config) *Core {
	c := NewCore(seed, 0, cfg)
	h := history(jobs, c.Now)
	for range n {
		c.nodes[c.add()].disk = maps.Clone(h)
	}
	for _, name := range c.names {
		c.Start(name)
	}
	return c
}

// submissions lets a client submit a job that nobody can run every so often, and says how long the answers
// took and which copies they told of.
func (c *Core) submissions(at string, every, during time.Duration) (took []time.Duration, copies []int) {
	for i := range int(during / every) {
		c.After(time.Duration(i)*every, func() {
			asked := c.Now
			id := job.ID(fmt.Sprintf("s%d", asked.UnixNano()))
			c.SubmitSpec(at, id, job.Spec{Constraints: []string{"nowhere"}}, nil, func(s *broker.Submitted) {
				took, copies = append(took, c.Now.Sub(asked)), append(copies, s.Replicas)
			})
		})
	}
	c.Run(during)
	return took, copies
}

// caughtUp reports whether a disk holds all that another's does.
func (c *Core) caughtUp(name, like string) bool {
	clockOf := func(name string) clock.Tips {
		v, err := ledger.StoredClock(c.nodes[name].disk.scan)
		must(err)
		return v
	}
	return c.nodes[name].disk.lineage().Covers(clockOf(name), clockOf(like))
}

// A broker of a pair has lost its disk, and gets 100,000 jobs from the other over a link of 10 MB a second.
// Whoever submits a job meanwhile waits as long as usual for the second copy: what is new passes ahead of the
// pages of the transfer, and the answer to it counts although the clock can't move (rule R2).
func TestSubmissionsWhileAPairCatchesUp(t *testing.T) {
	ofOneGoroutine(t)
	cfg := coreConfig()
	cfg.Replicas = 2
	c := elders(1, 2, 100_000, cfg)
	c.Link, c.Disk = 10<<20, 50<<20
	c.Run(5 * time.Second)
	const every = 20 * time.Millisecond
	usual, copies := c.submissions("b0", every, 10*time.Second)
	require.NotContains(t, copies, 1)

	c.Kill("b1")
	c.Wipe("b1")
	c.Start("b1")
	c.Run(2500 * time.Millisecond) // they have exchanged clocks
	took, copies := c.submissions("b0", every, 4*time.Second)
	require.False(t, c.caughtUp("b1", "b0"), "it has ended too soon to see anything")
	second := 0
	for _, n := range copies {
		second += n - 1
	}
	t.Logf("a pair with 100,000 jobs: submissions took %v at the median and %v at p99; while the other one catches up %v and %v, and %d of %d had two copies",
		percentile(usual, 0.5), percentile(usual, 0.99), percentile(took, 0.5), percentile(took, 0.99), second, len(copies))
	require.Less(t, percentile(took, 0.5), percentile(usual, 0.5)*5/4)
	require.Less(t, percentile(took, 0.99), time.Second)
	require.Greater(t, second, len(copies)*9/10)
	for i := 0; i < 60 && !c.caughtUp("b1", "b0"); i++ {
		c.Run(time.Second)
	}
	require.True(t, c.caughtUp("b1", "b0"))
	require.Empty(t, c.Wrong())
}

// One more broker joins n that hold 10,000 jobs. The table travels to it once, and whoever submits a job
// meanwhile waits as long as usual (rule R1).
func TestJoinerGetsTheTableOnce(t *testing.T) {
	ofOneGoroutine(t)
	for _, n := range []int{3, 10, 20} {
		const jobs = 10_000
		c := elders(1, n, jobs, coreConfig())
		c.Link, c.Disk = 10<<20, 50<<20
		c.Run(5 * time.Second)
		const every = 50 * time.Millisecond
		usual, _ := c.submissions("b0", every, 5*time.Second)
		records, donors := 0, map[string]bool{}
		size := 0
		name := c.Join("b0")
		c.carried = func(from, to string, d *wire.Delta) {
			if to != name {
				return
			}
			for _, r := range d.Records {
				if strings.HasPrefix(r.Key, "h") {
					records++
					donors[from] = true
					size += len(r.Bytes)
				}
			}
		}
		took, copies := c.submissions("b0", every, 5*time.Second)
		for i := 0; i < 120 && !c.caughtUp(name, "b0"); i++ {
			c.Run(time.Second)
		}
		t.Logf("a joiner to %d brokers with %d jobs: the table travelled %.2f times (%d bytes of records) from %d brokers; submissions took %v at the median, usually %v",
			n, jobs, float64(records)/jobs, size, len(donors), percentile(took, 0.5), percentile(usual, 0.5))
		require.LessOrEqual(t, float64(records), 1.1*jobs, "%d brokers", n)
		require.Less(t, percentile(took, 0.5), percentile(usual, 0.5)*5/4)
		require.NotContains(t, copies, 1)
		require.True(t, c.caughtUp(name, "b0"))
		c.Run(2 * time.Minute)
		require.True(t, c.sameClocks())
		require.Empty(t, c.Differences())
		require.Empty(t, c.Wrong())
	}
}
