package resolve

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// The workload is a day of a district with an earthquake in it (docs/strategies.md):
// one executor with 8 cores, 16 GiB and two cameras; 600 jobs in four hours, about as
// much as fits, in three kinds:
//
//   - analysis: 70 %, long (1 to 9 minutes), 300 to 1,600 millicores, user priority 1 to 6, may be
//     suspended; a third of them come as sessions of which each has seen the one before;
//   - service: 25 %, short (30 s to 3 minutes), small, user priority 4 to 9, with a deadline of two to six
//     times its length; may be requeued;
//   - rescue: 5 %, in the second hour alone, critical, 1 to 4 minutes, half of them with a camera, deadline
//     within 15 minutes; never preempted.

type load struct {
	Candidate
	length   clock.Time // what it really needs
	rescue   bool
	deadline clock.Time
}

func workload() (out []load) {
	r := rand.New(rand.NewPCG(7, 2026))
	for i := range 600 {
		l := load{Candidate: Candidate{
			Key: fmt.Sprintf("job-%03d", i), By: "a",
			Want: job.Resources{CPU: int64(3+r.IntN(14)) * 100, Memory: int64(1+r.IntN(12)) << 28, IO: int64(r.IntN(4) * 5)},
			User: 1 + r.IntN(6), Mode: job.Suspend,
		}, length: clock.Time((60 + r.IntN(8*60)) * 1000)}
		arrived := int64(r.IntN(4 * 60 * minute))
		switch kind := r.IntN(100); {
		case kind < 5:
			arrived = int64(60*minute + r.IntN(60*minute))
			l.rescue, l.Level, l.User, l.Mode = true, 4, 8, job.Never
			l.Want.CPU, l.length = int64(5+r.IntN(16))*100, clock.Time((60+r.IntN(180))*1000)
			l.deadline = clock.Time(arrived) + 15*minute
			if r.IntN(2) == 0 {
				l.Want.Devices = map[string]int64{"camera": 1}
			}
		case kind < 30:
			l.Want.CPU, l.length = int64(1+r.IntN(10))*100, clock.Time((30+r.IntN(150))*1000)
			l.User, l.Mode = 4+r.IntN(6), job.Requeue
			l.deadline = clock.Time(arrived) + l.length*clock.Time(2+r.IntN(5))
		}
		l.Arrived = at(arrived)
		l.Deadline, l.Length = l.deadline, clock.Duration(l.length)*1e6
		if l.deadline == 0 {
			l.Length = 0
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b load) int { return a.Candidate.compare(&b.Candidate) })
	for i := range out { // sessions
		if i >= 3 && out[i].deadline == 0 && r.IntN(3) == 0 {
			out[i].Deps = []string{out[i-1-r.IntN(3)].Key}
		}
	}
	return out
}

// outcomes are what a strategy made of the workload.
type outcomes struct {
	busy      float64 // CPU while jobs waited or ran, of what there is
	weighted  float64 // minutes from arrival to end, weighted by user priority and level
	missed    int
	deadlines int
	rescue    float64 // minutes that critical jobs waited, on average
	worst     float64
	preempted int
	makespan  float64
}

// trial is the workload under way: an event is an arrival or an end; victims leave at once.
type trial struct {
	outcomes
	q     *Queue
	jobs  []load // in the order of their arrival
	n     int    // of these, those that have come
	now   clock.Time
	by    map[string]load
	left  map[string]clock.Time // how long a job must still run
	began map[string]clock.Time
	first map[string]clock.Time // when it ran for the first time

	used, weights float64
}

// simulate runs the workload.
func simulate(s Strategy) outcomes {
	capacity := job.Resources{CPU: 8000, Memory: 16 << 30, IO: 100, Devices: map[string]int64{"camera": 2}}
	x := &trial{
		q: NewQueue(capacity), jobs: workload(), by: map[string]load{},
		left: map[string]clock.Time{}, began: map[string]clock.Time{}, first: map[string]clock.Time{},
	}
	x.q.SetStrategy(s, DefaultWeights())
	for x.n < len(x.jobs) || len(x.q.entries) > 0 {
		x.pass(x.next())
		x.arrive()
		x.end()
		x.decide()
	}
	x.rescues()
	x.weighted /= x.weights
	x.makespan = float64(x.now) / (60 * minute)
	x.busy = x.used / (float64(x.now) * float64(capacity.CPU))
	return x.outcomes
}

// next is the time of the next event.
func (x *trial) next() clock.Time {
	next := clock.Time(1 << 60)
	if x.n < len(x.jobs) {
		next = clock.TimeOf(x.jobs[x.n].Arrived)
	}
	for _, e := range x.q.on {
		next = min(next, x.began[e.c.Key]+x.left[e.c.Key])
	}
	if at := x.q.Next(); at != 0 {
		next = min(next, max(at, x.now))
	}
	return next
}

func (x *trial) pass(to clock.Time) {
	for _, e := range x.q.on {
		x.used += float64(e.c.Want.CPU) * float64(to-x.now)
	}
	x.now = to
}

func (x *trial) arrive() {
	for x.n < len(x.jobs) && clock.TimeOf(x.jobs[x.n].Arrived) <= x.now {
		l := x.jobs[x.n]
		x.q.Add(l.Candidate)
		x.by[l.Key], x.left[l.Key] = l, l.length
		x.n++
	}
}

func (x *trial) end() {
	for _, e := range slices.Clone(x.q.on) {
		key := e.c.Key
		if x.began[key]+x.left[key] > x.now {
			continue
		}
		l := x.by[key]
		w := float64(l.User + 10*l.Level)
		x.weights += w
		x.weighted += w * float64(x.now-clock.TimeOf(l.Arrived)) / minute
		if l.deadline != 0 && x.now > l.deadline {
			x.missed++
		}
		x.q.Remove(key)
	}
}

// decide decides until nothing leaves any more.
func (x *trial) decide() {
	for again := true; again; {
		d := x.q.Resolve(x.now)
		again = len(d.Preempt)+len(d.Expire) > 0
		for _, key := range append(d.Start, d.Resume...) {
			x.began[key] = x.now
			if _, ok := x.first[key]; !ok {
				x.first[key] = x.now
			}
		}
		x.missed += len(d.Expire)
		for _, p := range d.Preempt {
			x.preempted++
			if p.Mode == job.Suspend {
				x.left[p.Victim] -= x.now - x.began[p.Victim]
				x.q.Suspended(p.Victim, x.now)
			} else {
				x.left[p.Victim] = x.by[p.Victim].length
				x.q.Requeued(p.Victim)
			}
		}
		for _, r := range d.Expire {
			x.q.Remove(r.Key)
		}
	}
}

// rescues sums up how long critical jobs waited, and counts deadlines.
func (x *trial) rescues() {
	rescues := 0
	for _, l := range x.jobs {
		if l.deadline != 0 {
			x.deadlines++
		}
		if !l.rescue {
			continue
		}
		wait := float64(15 * minute) // one that never ran waited until it was too late
		if at, ok := x.first[l.Key]; ok {
			wait = float64(at - clock.TimeOf(l.Arrived))
		}
		rescues++
		x.rescue += wait / minute
		x.worst = max(x.worst, wait/minute)
	}
	x.rescue /= float64(rescues)
}

// docs/strategies.md has a table of the strategies on the same workload. When it is another, it is shown here.
func TestWorkload(t *testing.T) {
	got := map[Strategy]outcomes{}
	var b strings.Builder
	fmt.Fprintf(&b, "| strategy | CPU used | all done after | weighted completion | deadlines missed | critical jobs wait, mean | longest | preemptions |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, s := range All() {
		o := simulate(s)
		require.Equal(t, o, simulate(s), "not repeatable")
		got[s] = o
		fmt.Fprintf(&b, "| `%s` | %.1f %% | %.1f h | %.1f min | %d of %d | %.2f min | %.1f min | %d |\n",
			s, 100*o.busy, o.makespan, o.weighted, o.missed, o.deadlines, o.rescue, o.worst, o.preempted)
	}
	documented(t, "this table", b.String()+"\n")
	require.Less(t, got[Emergency].rescue, got[FCFS].rescue, "critical jobs wait least under emergency")
	require.LessOrEqual(t, got[Emergency].rescue, got[Causal].rescue)
	require.LessOrEqual(t, got[Emergency].missed, got[FCFS].missed)
	require.Less(t, got[Optimal].weighted, got[FCFS].weighted)
}
