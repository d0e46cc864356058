package resolve

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func candidate(t *rapid.T, i int) Candidate {
	return Candidate{
		Key:     fmt.Sprintf("j%d", i),
		Arrived: clock.Hybrid(rapid.IntRange(1, 5).Draw(t, "arrived")),
		By:      clock.Actor(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "by")),
		Want: job.Resources{
			CPU:    int64(rapid.IntRange(1, 1000).Draw(t, "cpu")),
			Memory: int64(rapid.IntRange(1, 100).Draw(t, "memory")),
			IO:     int64(rapid.IntRange(0, 50).Draw(t, "io")),
		},
	}
}

// After any history the queue decides as Plan does, never beyond the capacity.
func TestQueueDecidesAsPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := job.Resources{CPU: 2000, Memory: 200, IO: 100}
		q := NewQueue(capacity)
		running, pending := map[string]Candidate{}, map[string]Candidate{}
		snapshot := func() Snapshot {
			s := Snapshot{Capacity: capacity}
			for _, c := range running {
				s.Running = append(s.Running, c)
			}
			for _, c := range pending {
				s.Pending = append(s.Pending, c)
			}
			return s
		}
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				c := candidate(t, i)
				q.Add(c)
				pending[c.Key] = c
			case 1:
				key := fmt.Sprintf("j%d", rapid.IntRange(0, i).Draw(t, "victim"))
				q.Remove(key)
				delete(running, key)
				delete(pending, key)
			case 2:
				want := Plan(snapshot())
				require.Equal(t, want.Start, q.Decide())
				for _, key := range want.Start {
					running[key] = pending[key]
					delete(pending, key)
				}
				for _, d := range want.Defer {
					require.Equal(t, d.Why, q.Why(d.Key))
				}
			}
			require.True(t, q.Free().Fits(job.Resources{}), "decided beyond the capacity: %+v", q.Free())
		}
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	s := Snapshot{
		Capacity: job.Resources{CPU: 1000, Memory: 100},
		Running:  []Candidate{{Key: "r", Want: job.Resources{CPU: 400, Memory: 10}}},
		Pending: []Candidate{
			{Key: "small-last", Arrived: 9, Want: job.Resources{CPU: 100, Memory: 1}},
			{Key: "large", Arrived: 2, Want: job.Resources{CPU: 900, Memory: 1}},
			{Key: "first", Arrived: 1, Want: job.Resources{CPU: 300, Memory: 1}},
		},
	}
	require.Equal(t, Decision{
		Start: []string{"first"},
		Defer: []Defer{{"large", "needs 900m CPU, 300m free"}, {"small-last", "behind 1 job that came first"}},
	}, Plan(s))
}
