package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// An hour's work whose machine is killed every ten minutes comes to its end, and for each kill no more is computed again than what lies
// between two checkpoints (rule J17). Without them it would never end: a machine does not live for as long as that.
func TestAnHoursWorkWithAKillEveryTenMinutes(t *testing.T) {
	const takes, every = time.Hour, 4 * time.Minute
	for seed := range uint64(4) {
		c := NewCore(seed, 3, coreConfig())
		c.Work = map[job.ID]Work{"long": {Takes: takes, Every: every}}
		c.Run(5 * time.Second)
		c.SubmitSpec("b0", "long", job.Spec{Checkpoint: &job.Checkpointing{Paths: []string{"state"}}}, nil)
		c.Run(time.Second)
		ended := func() bool {
			for _, name := range c.Names() {
				if r := c.Record(name, "long"); c.Up(name) && r != nil && r.Finished() {
					return true
				}
			}
			return false
		}
		computed, kills := time.Duration(0), 0
		for second := 1; !ended(); second++ {
			require.Less(t, second, 3*3600, "seed %d: it does not end", seed)
			at := ""
			for name, n := range c.nodes {
				if n.b != nil && len(n.running) > 0 {
					require.Empty(t, at, "seed %d: it runs at two brokers", seed)
					at = name
					computed += time.Second
				}
			}
			if second%600 == 0 && at != "" {
				kills++
				c.Kill(at)
				c.After(90*time.Second, func() { c.Start(at) })
			}
			c.Run(time.Second)
		}
		require.GreaterOrEqual(t, kills, 6, "seed %d", seed)
		again := computed - takes
		t.Logf("seed %d: %d kills, %v computed again", seed, kills, again)
		require.LessOrEqual(t, again, time.Duration(kills)*(every+5*time.Second), "seed %d: at most what lies between two checkpoints, and the way of one", seed)
		c.Run(2 * time.Minute)
		c.Heal()
		c.Run(5 * time.Minute)
		finished(t, c, []job.ID{"long"})
		require.Empty(t, c.Wrong())
	}
}
