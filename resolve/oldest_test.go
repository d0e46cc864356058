package resolve

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Whatever comes, starts, changes its level, is stopped for others and goes: the oldest of each level is what a look at all jobs
// says, and those that have gone are not kept for long.
func TestOldestIsTheOldest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := NewQueue(job.Resources{CPU: 3000, Memory: 1 << 30})
		for step := range rapid.IntRange(1, 300).Draw(t, "steps") {
			key := fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "key"))
			c := Candidate{
				Key: key, By: "a~1", Want: job.Resources{CPU: 1000, Memory: 1}, Mode: job.Requeue,
				Arrived: clock.Hybrid(1 + rapid.IntRange(0, 50).Draw(t, "at")), Level: rapid.IntRange(0, 5).Draw(t, "level"),
			}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				q.Add(c)
			case 2:
				q.Update(c)
			case 3:
				q.Remove(key)
			case 4:
				for _, p := range q.Resolve(clock.Time(step)).Preempt {
					q.Requeued(p.Victim)
				}
			case 5:
				q.SetStrategy(All()[rapid.IntRange(0, len(All())-1).Draw(t, "strategy")], DefaultWeights())
			}
			var want Levels
			for _, e := range q.entries {
				if l := e.c.level(); e.state == pending && (want[l] == 0 || e.c.Arrived < want[l]) {
					want[l] = e.c.Arrived
				}
			}
			require.Equal(t, want, q.Oldest())
			for _, h := range q.oldest {
				require.LessOrEqual(t, len(h), 2*q.waits+64)
			}
		}
	})
}
