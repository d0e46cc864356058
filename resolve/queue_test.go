package resolve

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func cpu(n int64) job.Resources { return job.Resources{CPU: n} }

// The same snapshot gives the same decision, in whatever order it lists the jobs.
func TestPlanIgnoresTheOrderOfTheSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Snapshot{Capacity: job.Resources{CPU: 2000, Memory: 200, IO: 100}}
		for i := range rapid.IntRange(0, 10).Draw(t, "pending") {
			s.Pending = append(s.Pending, candidate(t, i))
		}
		shuffled := s
		shuffled.Pending = rapid.Permutation(s.Pending).Draw(t, "shuffled")
		require.Equal(t, Plan(s), Plan(shuffled))
	})
}

// Every pending job is either started or deferred with a reason, and nothing that
// came later overtakes one that waits.
func TestPlanIsTotalAndFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Snapshot{Capacity: job.Resources{CPU: 2000, Memory: 200, IO: 100}}
		by := map[string]Candidate{}
		for i := range rapid.IntRange(0, 10).Draw(t, "pending") {
			c := candidate(t, i)
			s.Pending, by[c.Key] = append(s.Pending, c), c
		}
		d := Plan(s)
		require.Len(t, by, len(d.Start)+len(d.Defer))
		for _, w := range d.Defer {
			require.NotEmpty(t, w.Why)
			for _, key := range d.Start {
				require.Negative(t, by[key].compare(by[w.Key]), "%s overtook %s", key, w.Key)
			}
		}
	})
}

// Arrival is (Hybrid, actor); the key makes it total.
func TestCandidateOrder(t *testing.T) {
	in := []Candidate{{Key: "a", Arrived: 1, By: "x"}, {Key: "b", Arrived: 1, By: "x"}, {Key: "a", Arrived: 1, By: "y"}, {Key: "a", Arrived: 2, By: "a"}}
	for i := range in {
		for j := range in {
			require.Equal(t, i < j, in[i].compare(in[j]) < 0)
			require.Equal(t, i == j, in[i].compare(in[j]) == 0)
		}
	}
}

func TestCandidateOf(t *testing.T) {
	s := job.Spec{Command: "true", Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, s.Complete())
	r := job.New("j", s, s.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 7})
	require.Equal(t, Candidate{Key: r.Key(), Arrived: 7, By: "a~1", Want: s.Resources}, CandidateOf(r))
}

// A job is held once, however often it is added, and what it holds comes back once,
// however often it is removed.
func TestQueueAddAndRemoveAreIdempotent(t *testing.T) {
	q := NewQueue(cpu(100))
	for range 2 {
		q.Add(Candidate{Key: "j", Want: cpu(60)})
	}
	require.Equal(t, []string{"j"}, q.Decide())
	q.Add(Candidate{Key: "j", Want: cpu(60)}) // it runs already
	require.Empty(t, q.Decide())
	running, pending := q.Counts()
	require.Equal(t, [2]int{1, 0}, [2]int{running, pending})
	require.Equal(t, int64(40), q.Free().CPU)
	for range 2 {
		q.Remove("j")
	}
	q.Remove("never was")
	require.Equal(t, int64(100), q.Free().CPU)
	require.False(t, q.Known("j"))
}

// Why answers for each job that waits: what it lacks, or how many stand before it.
func TestQueueWhy(t *testing.T) {
	q := NewQueue(cpu(100))
	q.Add(Candidate{Key: "runs", Arrived: 1, Want: cpu(60)})
	q.Decide()
	q.Add(Candidate{Key: "first", Arrived: 2, Want: cpu(60)})
	q.Add(Candidate{Key: "second", Arrived: 3, Want: cpu(1)})
	q.Add(Candidate{Key: "third", Arrived: 4, Want: cpu(1)})
	require.Empty(t, q.Decide())
	require.Empty(t, q.Why("runs"))
	require.Empty(t, q.Why("unknown"))
	require.Equal(t, "needs 60m CPU, 40m free", q.Why("first"))
	require.Equal(t, "behind 1 job that came first", q.Why("second"))
	require.Equal(t, "behind 2 jobs that came first", q.Why("third"))
	q.Remove("runs")
	require.Equal(t, []string{"first", "second", "third"}, q.Decide())
}

// A job that came earlier but is learnt of later takes its turn all the same.
func TestQueueOrdersByArrivalNotByAdding(t *testing.T) {
	q := NewQueue(cpu(100))
	q.Add(Candidate{Key: "late", Arrived: 9, Want: cpu(80)})
	q.Add(Candidate{Key: "early", Arrived: 1, Want: cpu(80)})
	require.Equal(t, []string{"early"}, q.Decide())
}

// A decision costs what it starts, not what waits.
func BenchmarkDecideAmong100000(b *testing.B) {
	q := NewQueue(cpu(1000))
	for i := range 100_000 {
		q.Add(Candidate{Key: string(rune(i + 1)), Arrived: clock.Hybrid(i), Want: cpu(1000)})
	}
	b.ReportAllocs()
	for b.Loop() {
		key := q.Decide()[0]
		c := q.running[key]
		q.Remove(key)
		c.Arrived += 100_000
		q.Add(c)
	}
}
