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

// outcome is what a strategy made of the workload.
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

// simulate runs the workload: an event is an arrival or an end; victims leave at once.
func simulate(s Strategy) (o outcomes) {
	jobs := workload()
	capacity := job.Resources{CPU: 8000, Memory: 16 << 30, IO: 100, Devices: map[string]int64{"camera": 2}}
	q := NewQueue(capacity)
	q.SetStrategy(s, DefaultWeights())
	left, began, by := map[string]clock.Time{}, map[string]clock.Time{}, map[string]load{}
	first := map[string]clock.Time{}
	var now clock.Time
	var used, weights float64
	for n := 0; n < len(jobs) || len(q.entries) > 0; {
		next := clock.Time(1 << 60)
		if n < len(jobs) {
			next = clock.TimeOf(jobs[n].Arrived)
		}
		for _, e := range q.on {
			next = min(next, began[e.c.Key]+left[e.c.Key])
		}
		if e, ok := q.changes.Min(); ok {
			next = min(next, max(e.change, now))
		}
		for _, e := range q.on {
			used += float64(e.c.Want.CPU) * float64(next-now)
		}
		now = next
		for n < len(jobs) && clock.TimeOf(jobs[n].Arrived) <= now {
			q.Add(jobs[n].Candidate)
			by[jobs[n].Key], left[jobs[n].Key] = jobs[n], jobs[n].length
			n++
		}
		for _, e := range slices.Clone(q.on) {
			key := e.c.Key
			if began[key]+left[key] > now {
				continue
			}
			l := by[key]
			w := float64(l.User + 10*l.Level)
			weights += w
			o.weighted += w * float64(now-clock.TimeOf(l.Arrived)) / minute
			if l.deadline != 0 && now > l.deadline {
				o.missed++
			}
			q.Remove(key)
		}
		for again := true; again; {
			d := q.Resolve(now)
			again = len(d.Preempt)+len(d.Expire) > 0
			for _, key := range append(d.Start, d.Resume...) {
				began[key] = now
				if _, ok := first[key]; !ok {
					first[key] = now
				}
			}
			o.missed += len(d.Expire)
			for _, p := range d.Preempt {
				o.preempted++
				if p.Mode == job.Suspend {
					left[p.Victim] -= now - began[p.Victim]
					q.Suspended(p.Victim, now)
				} else {
					left[p.Victim] = by[p.Victim].length
					q.Requeued(p.Victim)
				}
			}
			for _, r := range d.Expire {
				q.Remove(r.Key)
			}
		}
	}
	rescues := 0
	for _, l := range jobs {
		if l.deadline != 0 {
			o.deadlines++
		}
		if !l.rescue {
			continue
		}
		wait := float64(15 * minute) // one that never ran waited until it was too late
		if at, ok := first[l.Key]; ok {
			wait = float64(at - clock.TimeOf(l.Arrived))
		}
		rescues++
		o.rescue += wait / minute
		o.worst = max(o.worst, wait/minute)
	}
	o.rescue /= float64(rescues)
	o.weighted /= weights
	o.makespan = float64(now) / (60 * minute)
	o.busy = used / (float64(now) * float64(capacity.CPU))
	return o
}

// A table of the strategies on the same workload, which docs/strategies.md shows: `go test ./resolve -run
// Workload -v`.
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
	t.Log("\n" + b.String())
	require.Contains(t, docs(t), b.String()+"\n", "docs/strategies.md shows this table")
	require.Less(t, got[Emergency].rescue, got[FCFS].rescue, "critical jobs wait least under emergency")
	require.LessOrEqual(t, got[Emergency].rescue, got[Causal].rescue)
	require.LessOrEqual(t, got[Emergency].missed, got[FCFS].missed)
	require.Less(t, got[Optimal].weighted, got[FCFS].weighted)
}
