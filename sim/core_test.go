package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

func coreConfig() broker.Config {
	return broker.Config{
		Capabilities: broker.Capabilities{
			Capacity: job.Resources{CPU: 1000, Memory: 1 << 30, IO: 100},
			Drivers:  []job.Driver{job.Wasm, job.Process},
		},
		Replicas: 3, SyncInterval: time.Minute, NewsLinks: true,
		AckTimeout: 2 * time.Second, MaxClockSkew: time.Minute,
	}
}

// finished requires that every job has succeeded at every broker, and that all
// hold the same.
func finished(t *testing.T, c *Core, ids []job.ID) {
	t.Helper()
	require.Empty(t, c.Differences())
	for _, id := range ids {
		for _, name := range c.Names() {
			r := c.Record(name, id)
			require.NotNil(t, r, "%s does not know %s", name, id)
			require.Equal(t, job.StateSucceeded, r.State(), "%s at %s", id, name)
		}
	}
}

// A job that is submitted at each of three brokers is known and finished at each.
func TestCoreThreeBrokers(t *testing.T) {
	c := NewCore(1, 3, coreConfig())
	c.Run(5 * time.Second)
	var ids []job.ID
	for i, name := range c.Names() {
		id := job.ID(fmt.Sprintf("j%d", i))
		c.Submit(name, id)
		ids = append(ids, id)
	}
	c.Run(200 * time.Millisecond)
	for _, id := range ids {
		require.True(t, c.Acked[id], "%s is not acknowledged", id)
		for _, name := range c.Names() {
			require.NotNil(t, c.Record(name, id), "%s does not know %s", name, id)
		}
	}
	c.Run(2 * time.Minute)
	finished(t, c, ids)
	for _, id := range ids {
		require.Equal(t, 1, c.Runs[id])
	}
}

// With every news link cut, the exchange alone brings a change to all of ten
// brokers within its interval (rule S2).
func TestCoreExchangeAlone(t *testing.T) {
	for seed := range uint64(20) {
		cfg := coreConfig()
		cfg.NewsLinks = false
		c := NewCore(seed, 10, cfg)
		c.Run(5 * time.Minute)
		c.Submit("b3", "j")
		c.Run(61 * time.Second)
		for _, name := range c.Names() {
			require.NotNil(t, c.Record(name, "j"), "seed %d: %s does not know the job", seed, name)
		}
	}
}

// story drives a seeded fault schedule: brokers are killed and restarted, cut
// off and healed, messages lost, while jobs keep coming. In the end all is
// healed.
func story(seed uint64) (c *Core, ids []job.ID) {
	c = NewCore(seed, 2+int(seed%4), coreConfig())
	c.Loss = 0.02 * float64(seed%3)
	c.Run(3 * time.Second)
	for i := range 40 {
		pick := func() string { return c.names[c.rand.IntN(len(c.names))] }
		switch x := c.rand.IntN(10); {
		case x < 6:
			id := job.ID(fmt.Sprintf("j%d", i))
			ids = append(ids, id)
			c.Submit(pick(), id)
		case x == 6:
			if name := pick(); c.Up(name) {
				c.Kill(name)
			}
		case x == 7:
			if name := pick(); !c.Up(name) {
				c.Start(name)
			}
		case x == 8:
			c.Cut(pick(), pick())
		case x == 9:
			c.Heal()
		}
		c.Run(time.Duration(c.rand.IntN(4000)) * time.Millisecond)
	}
	c.Loss = 0
	c.Heal()
	for _, name := range c.Names() {
		if !c.Up(name) {
			c.Start(name)
		}
	}
	c.Run(5 * time.Minute)
	return c, ids
}

// No acknowledged job is lost, every one of them ends, and all brokers come to
// hold the same, whatever fails on the way.
func TestCoreFaultsConverge(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		c, ids := story(seed)
		var acked []job.ID
		for _, id := range ids {
			if c.Acked[id] {
				acked = append(acked, id)
			}
		}
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { finished(t, c, acked) }) {
			return
		}
	}
}

// The same seed gives the same run, event by event.
func TestCoreIsRepeatable(t *testing.T) {
	for seed := range uint64(5) {
		a, _ := story(seed)
		b, _ := story(seed)
		require.Equal(t, a.Trace(), b.Trace())
	}
}
