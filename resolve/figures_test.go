package resolve

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// arrival makes the i-th job of a mixed backlog.
func arrival(r *rand.Rand, i int) Candidate {
	id := fmt.Sprintf("01990000-0000-7000-8000-%012d", i)
	c := Candidate{
		Key: job.Key(job.ID(id), "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), ID: id,
		Arrived: at(1_000_000 + int64(i)), By: "b1~0a1b2c3d",
		Want: job.Resources{CPU: int64(1+r.IntN(10)) * 100, Memory: int64(1+r.IntN(8)) * 64 << 20, IO: int64(r.IntN(3) * 5)},
		User: r.IntN(11), Weight: r.IntN(3), Mode: []job.Preemption{job.Suspend, job.Requeue, job.Never}[r.IntN(3)],
	}
	if r.IntN(20) == 0 {
		c.Level = 1 + r.IntN(4)
	}
	if r.IntN(4) == 0 && i > 100 { // sessions: each has seen a job of before
		c.Deps = []string{job.Key(job.ID(fmt.Sprintf("01990000-0000-7000-8000-%012d", i-1-r.IntN(100))), "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")}
	}
	if r.IntN(10) == 0 {
		c.Deadline, c.Length = clock.Time(1_000_000+int64(i)+60*minute+int64(r.IntN(600*minute))), clock.Duration(time.Minute)
	}
	if r.IntN(50) == 0 {
		c.Exclusive = fmt.Sprintf("drone-%d", r.IntN(20))
	}
	if r.IntN(50) == 0 {
		c.Want.Devices = map[string]int64{"camera": 1}
	}
	return c
}

// backlog makes a queue with 16 running jobs that fill the machine, and n pending.
func backlog(s Strategy, n int) (*Queue, *rand.Rand, int) {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	q := NewQueue(job.Resources{CPU: 16_000, Memory: 32 << 30, IO: 100, Devices: map[string]int64{"camera": 1}})
	q.SetStrategy(s, DefaultWeights())
	for i := range 16 {
		q.Add(Candidate{Key: fmt.Sprintf("running-%d", i), Arrived: clock.Hybrid(i), By: "a", User: 9, Mode: job.Suspend,
			Want: job.Resources{CPU: 1000, Memory: 1 << 30}, Level: 2})
	}
	q.Resolve(900_000)
	for i := range n {
		q.Add(arrival(r, i))
	}
	q.Resolve(1_000_000 + clock.Time(n))
	return q, r, n
}

// arrive times decisions on one arrival each: at least 16 run. Between them victims leave and those that displaced
// them start, and arrivals that wait are taken out again; that is not timed.
func arrive(q *Queue, r *rand.Rand, n, times int) []time.Duration {
	out := make([]time.Duration, 0, times)
	for i := range times {
		c := arrival(r, n+i)
		now := 1_000_000 + clock.Time(n+i)
		began := time.Now()
		q.Add(c)
		q.Resolve(now)
		out = append(out, time.Since(began))
		for len(q.leaving) > 0 {
			e := q.leaving[0]
			if e.c.Leaving == suspends {
				q.Suspended(e.c.Key, now)
			} else {
				q.Requeued(e.c.Key)
			}
		}
		q.Resolve(now) // those that displaced them start
		if e := q.entries[c.Key]; e != nil && e.state == pending {
			q.Remove(c.Key)
		}
	}
	return out
}

func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[len(d)*p/100]
}

// A decision on one arrival, with 16 running: with 10,000 pending within 100 us at
// p99 (optimal: 1 ms), with 100,000 at most five times that. The machine may be
// shared, so the best of several rounds counts; and without UCP_FIGURES set, ten times
// as much is let pass: that still catches what looks at all that wait.
func TestDecisionTimes(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("a figure of the undisturbed code")
	}
	sizes, slack := []int{10_000}, time.Duration(10)
	if os.Getenv("UCP_FIGURES") != "" {
		sizes, slack = append(sizes, 100_000), 1
	}
	for _, s := range All() {
		for _, n := range sizes {
			q, r, _ := backlog(s, n)
			limit := 100 * time.Microsecond
			if s.Packs() {
				limit = time.Millisecond
			}
			if n == 100_000 {
				limit *= 5
			}
			best := time.Hour
			var all []time.Duration
			for range 10 {
				d := arrive(q, r, n, 1000)
				all = append(all, d...)
				if best = min(best, percentile(d, 99)); best <= limit {
					break
				}
			}
			t.Logf("%-9s %6d pending: median %6.1f us, p99 %6.1f us (at most %d)", s, n,
				float64(percentile(all, 50))/1e3, float64(best)/1e3, limit.Microseconds())
			require.LessOrEqual(t, best, slack*limit)
		}
	}
}

// A pending job takes at most 1 KB.
func TestMemoryOfAPendingJob(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	for _, s := range All() {
		const n = 50_000
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		q, _, _ := backlog(s, n)
		each := (heap() - before) / n
		t.Logf("%-9s %d bytes a pending job", s, each)
		require.LessOrEqual(t, each, uint64(1024))
		runtime.KeepAlive(q)
	}
}

func BenchmarkArrival(b *testing.B) {
	for _, s := range All() {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", s, n), func(b *testing.B) {
				q, r, _ := backlog(s, n)
				b.ReportAllocs()
				b.ResetTimer()
				d := arrive(q, r, n, b.N)
				b.ReportMetric(float64(percentile(d, 50)), "ns/median")
				b.ReportMetric(float64(percentile(d, 99)), "ns/p99")
			})
		}
	}
}
