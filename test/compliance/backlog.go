package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

const minute = 60_000 // of job.Time

// backlogKey is the key of the i-th job, as long as real ones are.
func backlogKey(i int) string {
	id := fmt.Sprintf("01990000-0000-7000-8000-%012d", i)
	return job.Key(job.ID(id), "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
}

// arrival makes the i-th job of a mixed backlog: a quarter belongs to sessions, some
// have deadlines, a level, want a drone or the camera.
func arrival(r *rand.Rand, i int) resolve.Candidate {
	c := resolve.Candidate{
		Key: backlogKey(i), ID: fmt.Sprint("job-", i), Arrived: clock.Hybrid(int64(1_000_000+i) << 16), By: "b1~0a1b2c3d",
		Want: job.Resources{CPU: int64(1+r.IntN(10)) * 100, Memory: int64(1+r.IntN(8)) * 64 << 20, IO: int64(r.IntN(3) * 5)},
		User: r.IntN(11), Weight: r.IntN(3), Mode: []job.Preemption{job.Suspend, job.Requeue, job.Never}[r.IntN(3)],
	}
	if r.IntN(20) == 0 {
		c.Level = 1 + r.IntN(4)
	}
	if r.IntN(4) == 0 && i > 100 {
		c.Deps = []string{backlogKey(i - 1 - r.IntN(100))}
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

// backlog is a queue in which 16 running jobs fill the machine and others wait.
type backlog struct {
	q    *resolve.Queue
	rnd  *rand.Rand
	next int
	free bool // nobody has seen anybody's jobs
}

func newBacklog(s resolve.Strategy, pending int) *backlog { return backlogOf(s, pending, false) }

func backlogOf(s resolve.Strategy, pending int, free bool) *backlog {
	c := &backlog{rnd: rand.New(rand.NewPCG(1, uint64(pending))), free: free}
	c.q = resolve.NewQueue(job.Resources{CPU: 16_000, Memory: 32 << 30, IO: 100, Devices: map[string]int64{"camera": 1}})
	c.q.SetStrategy(s, resolve.DefaultWeights())
	for i := range 16 {
		c.q.Add(resolve.Candidate{Key: fmt.Sprint("running-", i), Arrived: clock.Hybrid(i), By: "a", User: 9, Level: 2, Mode: job.Suspend,
			Want: job.Resources{CPU: 1000, Memory: 1 << 30}})
	}
	c.q.Resolve(900_000)
	for range pending {
		c.q.Add(c.arrival())
	}
	c.q.Resolve(c.now())
	return c
}

// arrival is the next one.
func (c *backlog) arrival() resolve.Candidate {
	x := arrival(c.rnd, c.next)
	c.next++
	if c.free {
		x.Deps = nil
	}
	return x
}

func (c *backlog) now() clock.Time { return clock.Time(1_000_000 + c.next) }

// arrive lets one more come and times the decision on it. Then victims go, who
// displaced them starts, and an arrival that waits is taken out again: that is not
// timed.
func (c *backlog) arrive(measure func() time.Duration) time.Duration {
	x := c.arrival()
	now := c.now()
	began := measure()
	c.q.Add(x)
	d := c.q.Resolve(now)
	took := measure() - began
	waits := true
	for {
		for _, key := range d.Start {
			waits = waits && key != x.Key
		}
		if len(d.Preempt) == 0 {
			break
		}
		for _, p := range d.Preempt {
			if p.Mode == job.Suspend {
				c.q.Suspended(p.Victim, now)
			} else {
				c.q.Requeued(p.Victim)
			}
		}
		d = c.q.Resolve(now)
	}
	if waits {
		c.q.Remove(x.Key)
	}
	return took
}
