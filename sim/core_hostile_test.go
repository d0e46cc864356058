package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/job"
)

// What a peer may make a broker keep, and send, at most.
const (
	mostAside    = 1024 // records in quarantine
	mostClock    = 64   // entries of a clock: three brokers that start a few times, and the liar
	mostMessages = 3    // a second on each link, on average
)

// No sequence of valid messages of one hostile peer makes three honest brokers, of which one is killed now and then,
// lose what they have acknowledged, change a firm answer, differ in the end, send without end, or keep more than they
// should.
func TestHostilePeer(t *testing.T) {
	ofOneGoroutine(t)
	rapid.Check(t, func(t *rapid.T) {
		c := lied(t, true)
		require.Empty(t, c.Wrong(), "%s", c.Story(""))
		for _, name := range c.names {
			n := c.nodes[name]
			require.LessOrEqual(t, n.stats.Quarantined, mostAside)
			require.LessOrEqual(t, len(n.b.Clock()), mostClock)
		}
		links, seconds := len(c.names)*len(c.names), int(c.Now.Sub(c.start)/time.Second)
		require.LessOrEqual(t, c.Sent.Messages, mostMessages*links*seconds, "%s", c.Story(""))
	})
}

// Of lies that are believed until a later rule is built nobody panics, at least, and all start again from their disks.
func TestUntamedPeer(t *testing.T) {
	ofOneGoroutine(t)
	rapid.Check(t, func(t *rapid.T) {
		c := lied(t, false)
		for _, name := range c.names {
			c.Kill(name)
			c.Start(name)
		}
		c.Run(10 * time.Second)
	})
}

// lied is a cluster in which brokers and clients have done what they do while a peer lied, and it has left.
func lied(t *rapid.T, tame bool) *Core {
	cfg := coreConfig()
	cfg.SyncInterval, cfg.MaxLosses = 20*time.Second, 3
	if rapid.Bool().Draw(t, "forgets") {
		cfg.Retention = 15 * time.Second
	}
	c := NewCore(rapid.Uint64().Draw(t, "seed"), 3, cfg)
	c.faults = Readers
	c.Hostile(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "lie") }, tame)
	c.Run(3 * time.Second)
	jobs := 0
	var past causal.Context
	for range rapid.IntRange(5, 25).Draw(t, "events") {
		at := rapid.SampledFrom(c.names).Draw(t, "at")
		some := job.ID(fmt.Sprintf("j%d", rapid.IntRange(0, jobs).Draw(t, "job")))
		switch rapid.IntRange(0, 10).Draw(t, "event") {
		case 0, 1:
			c.SubmitSpec(at, job.ID(fmt.Sprintf("j%d", jobs)), job.Spec{}, past, func(s *broker.Submitted) { past = s.Past })
			jobs++
		case 2:
			c.Cancel(at, some)
		case 3, 4:
			c.Read(at, some, past, func(f *broker.Found) { past = f.Past })
		case 5:
			if c.Up(at) {
				c.Kill(at)
			} else {
				c.Start(at)
			}
		default:
			c.Lie(at)
		}
		c.Run(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
	}
	c.tell("%s leaves", hostileName)
	c.hostile.leave()
	c.swim()
	for _, name := range c.names {
		if !c.Up(name) {
			c.Start(name)
		}
	}
	c.Run(c.cfg.IsolationDelay + 5*c.cfg.SyncInterval)
	if tame {
		c.Converged()
	}
	return c
}
