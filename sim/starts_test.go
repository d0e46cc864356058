package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// lasting makes the disks of brokers that have started n times in all, each time writing something that is forgotten by now:
// with rows, or without, as an earlier version did.
func lasting(t *testing.T, names []string, n int, rows bool) map[string]disk {
	var tips, old clock.Vector
	d := disk{}
	for i := range n {
		name := names[i%len(names)]
		if !rows {
			old.Set(clock.Dot{Actor: clock.Actor(fmt.Sprintf("%s~%08d", name, i)), Counter: 2})
			continue
		}
		a := clock.StartActor(name, clock.Start(i+1)<<32)
		row := &ledger.Row{Actor: a}
		if i >= len(names) {
			row.Parents = clock.Tips{{Actor: clock.StartActor(name, clock.Start(i+1-len(names))<<32), Counter: 2}}
		}
		d[string(ledger.RecordKey(ledger.Ref{Kind: ledger.Starts, Key: row.Key()}))] = row.Encode()
		if i >= n-len(names) {
			tips.Set(clock.Dot{Actor: a, Counter: 2})
		}
	}
	tips.Merge(old)
	l := ledger.New("x~1", nil) // it knows how a clock is written
	_, err := l.Merge(ledger.Delta{Clock: clock.Tips(tips)})
	require.NoError(t, err)
	for _, op := range l.Take().Ops() {
		d[string(op.Key)] = op.Value
	}
	out := map[string]disk{}
	for _, name := range names {
		out[name] = disk{}
		for k, v := range d {
			out[name][k] = v
		}
	}
	return out
}

// clockOf is the clock on a broker's disk.
func (c *Core) clockOf(t *testing.T, name string) clock.Tips {
	v, err := ledger.StoredClock(c.nodes[name].disk.scan)
	require.NoError(t, err)
	return v
}

// However often brokers have started, their clocks have an entry each, they are in sync, and copies are made
// (rules K1, K2). A store of the version before heals at its first start.
func TestStartsWithoutEnd(t *testing.T) {
	for name, x := range map[string]struct {
		starts int
		rows   bool
	}{
		"4,090 of the version before": {4090, false},
		"4,097 of the version before": {4097, false},
		"4,097":                       {4097, true},
		"100,000":                     {100_000, true},
	} {
		t.Run(name, func(t *testing.T) {
			if x.starts > 10_000 {
				ofOneGoroutine(t)
			}
			c := NewCore(2, 3, coreConfig())
			c.Flawless = true
			disks := lasting(t, c.Names(), x.starts, x.rows)
			for _, name := range c.Names() {
				c.Kill(name)
				c.nodes[name].disk = disks[name]
			}
			for _, name := range c.Names() {
				c.Start(name)
			}
			c.Run(time.Minute)
			var ids []job.ID
			submit := func() {
				for _, name := range c.Names() {
					id := job.ID(fmt.Sprintf("j%d", len(ids)))
					ids = append(ids, id)
					c.SubmitSpec(name, id, job.Spec{}, nil, func(a *broker.Submitted) {
						require.Equal(t, 3, a.Replicas, "%s at %s", id, name)
					})
				}
				c.Run(2 * time.Minute)
			}
			submit()
			for _, name := range c.Names() { // by now each has written, as the first start of this version there
				require.LessOrEqual(t, float64(len(c.clockOf(t, name))), 1.2*3, "%s: %v", name, c.clockOf(t, name))
			}
			c.Kill("b0")
			c.Start("b0")
			c.Run(time.Minute)
			submit()
			require.Len(t, c.Acked, len(ids))
			finished(t, c, ids)
			require.True(t, c.sameClocks())
			for _, name := range c.Names() { // of each broker the last rows are kept
				require.LessOrEqual(t, float64(len(c.clockOf(t, name))), 1.2*3, "%s: %v", name, c.clockOf(t, name))
				rows := 0
				must(c.nodes[name].disk.scan(ledger.RecordKey(ledger.Ref{Kind: ledger.Starts}), func([]byte, []byte) error {
					rows++
					return nil
				}))
				require.LessOrEqual(t, rows, 3*4096)
			}
			require.Empty(t, c.Wrong())
		})
	}
}

// One member is away for 90 days, the others start five times a day: nothing grows, and nothing is refused
// when it is back.
func TestOneMemberIsAwayForLong(t *testing.T) {
	ofOneGoroutine(t)
	cfg := coreConfig()
	cfg.SyncInterval = 10 * time.Minute
	cfg.Retention = time.Hour
	c := NewCore(1, 3, cfg)
	c.Reap = 24 * time.Hour
	c.Run(time.Minute)
	submit := func(at string, i int) {
		c.SubmitSpec(at, job.ID(fmt.Sprintf("%s-%d", at, i)), job.Spec{}, nil)
	}
	submit("b2", 0)
	c.Run(time.Minute)
	c.Kill("b2")
	const each = 24 * time.Hour / 5
	for i := range 90 * 5 {
		for _, name := range []string{"b0", "b1"} {
			c.Kill(name)
			c.Start(name)
			c.Run(each / 4)
			submit(name, i+1)
			c.Run(each / 4)
		}
		for _, name := range []string{"b0", "b1"} {
			for _, of := range c.Names() {
				require.LessOrEqual(t, len(c.clockOf(t, name).Of(of)), 2, "after %d days: %v", i/5, c.clockOf(t, name))
			}
		}
	}
	c.Start("b2")
	c.Run(10 * time.Minute)
	submit("b2", 1)
	c.Run(30 * time.Minute)
	require.Len(t, c.Acked, 2*90*5+2)
	require.Empty(t, c.Differences())
	require.True(t, c.sameClocks())
	require.Len(t, c.clockOf(t, "b2"), 3)
	require.Empty(t, c.Wrong())
}
