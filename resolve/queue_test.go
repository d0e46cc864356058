package resolve

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func cpu(n int64) job.Resources { return job.Resources{CPU: n, Memory: 1} }

// at is the arrival of a job in the given millisecond.
func at(ms int64) clock.Hybrid { return clock.Hybrid(ms) << 16 }

// drawn draws a job; those of a higher number may depend on those of a lower one,
// in whatever order they arrive here.
func drawn(t *rapid.T, i int) Candidate {
	c := Candidate{
		Key: fmt.Sprintf("j%02d", i), ID: fmt.Sprintf("job-%d", i),
		Arrived: at(int64(rapid.IntRange(1, 40).Draw(t, "arrived") * 30_000)),
		By:      clock.Actor(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "by")),
		Want: job.Resources{
			CPU:    int64(rapid.IntRange(1, 10).Draw(t, "cpu") * 100),
			Memory: int64(rapid.IntRange(1, 100).Draw(t, "memory")),
			IO:     int64(rapid.SampledFrom([]int{0, 0, 10, 60}).Draw(t, "io")),
		},
		User:   rapid.IntRange(0, 10).Draw(t, "user"),
		Weight: rapid.IntRange(0, 10).Draw(t, "weight"),
		Mode:   rapid.SampledFrom([]job.Preemption{"", job.Suspend, job.Requeue, job.Never}).Draw(t, "mode"),
	}
	if rapid.IntRange(0, 2).Draw(t, "fine") == 0 {
		c.Part, c.Urgency = job.Milli(rapid.IntRange(0, 999).Draw(t, "part")), job.Milli(rapid.IntRange(0, 1000).Draw(t, "urgency"))
	}
	if rapid.IntRange(0, 2).Draw(t, "urgent") == 0 {
		c.Level = rapid.IntRange(1, 4).Draw(t, "level")
	}
	if rapid.IntRange(0, 4).Draw(t, "raised") == 0 {
		c.Raised = rapid.IntRange(1, 4).Draw(t, "to")
	}
	if rapid.IntRange(0, 3).Draw(t, "device") == 0 {
		c.Want.Devices = map[string]int64{rapid.SampledFrom([]string{"camera", "radio"}).Draw(t, "name"): int64(rapid.IntRange(1, 3).Draw(t, "n"))}
	}
	if rapid.IntRange(0, 2).Draw(t, "keyed") == 0 {
		c.Exclusive = rapid.SampledFrom([]string{"drone", "crane"}).Draw(t, "key")
	}
	if rapid.IntRange(0, 3).Draw(t, "timed") == 0 {
		c.Deadline = clock.Time(rapid.IntRange(10, 90).Draw(t, "deadline") * minute)
		c.Length = clock.Duration(rapid.IntRange(0, 10).Draw(t, "length")) * 60e9
	}
	for j := range i {
		switch rapid.IntRange(0, 15).Draw(t, "edge") {
		case 0, 1:
			c.Deps = append(c.Deps, fmt.Sprintf("j%02d", j))
		case 2:
			c.After = append(c.After, fmt.Sprintf("j%02d", j))
		}
	}
	return c
}

var testCapacity = job.Resources{CPU: 2000, Memory: 200, IO: 100, Devices: map[string]int64{"camera": 2, "radio": 1}}

// history drives a queue through what may happen to it; check is called before
// each decision, with the decision's snapshot, and after it.
type history struct {
	t    *rapid.T
	q    *Queue
	jobs []Candidate
	now  clock.Time
}

func (h *history) keys(which func(*Candidate) bool, lists ...[]*Candidate) (out []string) {
	for _, l := range lists {
		for _, c := range l {
			if which(c) {
				out = append(out, c.Key)
			}
		}
	}
	return out
}

// happen lets one thing happen.
func (h *history) happen() {
	t, q := h.t, h.q
	s := q.Snapshot(h.now)
	all := func(*Candidate) bool { return true }
	leaves := func(c *Candidate) bool { return c.Leaving != stays }
	pick := func(keys []string) string { return rapid.SampledFrom(keys).Draw(t, "which") }
	switch rapid.IntRange(0, 10).Draw(t, "what") {
	case 0, 1, 2:
		q.Add(rapid.SampledFrom(h.jobs).Draw(t, "add"))
	case 3:
		if keys := h.keys(all, s.Running, s.Suspended, s.Pending); len(keys) > 0 {
			q.Remove(pick(keys))
		}
	case 4:
		h.now += clock.Time(rapid.IntRange(0, 6*minute).Draw(t, "time"))
	case 5, 6: // a victim is gone
		if keys := h.keys(leaves, s.Running, s.Suspended); len(keys) > 0 {
			h.gone(pick(keys))
		}
	case 7:
		q.SetStrategy(rapid.SampledFrom(All()).Draw(t, "strategy"), DefaultWeights())
	case 8:
		if keys := h.keys(all, s.Running, s.Suspended, s.Pending); len(keys) > 0 {
			key := pick(keys)
			i := slices.IndexFunc(h.jobs, func(c Candidate) bool { return c.Key == key })
			c := h.jobs[i]
			c.User, c.Level = rapid.IntRange(0, 10).Draw(t, "user"), rapid.IntRange(0, 4).Draw(t, "level")
			q.Update(c)
		}
	case 9:
		var held []HeldKey
		if rapid.Bool().Draw(t, "held") {
			held = append(held, HeldKey{Exclusive: "crane", By: "other", At: "b2"})
		}
		q.SetHeld(held)
	case 10: // the clock is put right
		h.now = max(h.now+clock.Time(rapid.IntRange(-30*minute, 30*minute).Draw(t, "leap")), minute)
		q.Retime(h.now)
	}
}

func (h *history) gone(key string) {
	switch e := h.q.entries[key]; e.c.Leaving {
	case suspends:
		h.q.Suspended(key, h.now)
	case requeues:
		h.q.Requeued(key)
	default:
		h.q.Remove(key)
	}
}

func newHistory(t *rapid.T) *history {
	h := &history{t: t, q: NewQueue(testCapacity), now: minute}
	h.q.SetStrategy(rapid.SampledFrom(All()).Draw(t, "strategy"), DefaultWeights())
	for i := range rapid.IntRange(1, 14).Draw(t, "jobs") {
		h.jobs = append(h.jobs, drawn(t, i))
	}
	return h
}

// After any history the queue decides as Plan does, and says the same of those
// that wait.
func TestQueueDecidesAsPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			for range rapid.IntRange(1, 3).Draw(t, "events") {
				h.happen()
				consistent(t, h.q)
			}
			s := h.q.Snapshot(h.now)
			want := Plan(s)
			got := h.q.Resolve(h.now)
			want.Defer = nil
			require.Equal(t, want, got, "under %s", s.Strategy)
			after := h.q.Snapshot(h.now)
			require.Equal(t, s.after(want).canonical(), after)
			again := Plan(after)
			require.Empty(t, slices.Concat(again.Start, again.Resume), "a decision decides again under %s:\n%s\n%s", s.Strategy, shown(s), shown(after))
			require.Empty(t, again.Preempt, "a decision decides again under %s:\n%s\n%+v", s.Strategy, shown(s), want)
			require.Empty(t, again.Expire, "a decision decides again")
			require.Empty(t, again.Conflicts, "a decision decides again")
			for _, r := range again.Defer {
				require.Equal(t, r.Why, h.q.Why(r.Key), "%s under %s", r.Key, s.Strategy)
			}
			free := h.q.Free()
			require.Empty(t, free.Lacks(job.Resources{}), "decided beyond the capacity: %+v", free)
		}
	})
}

// consistent compares what the indexes keep with what the reference computes.
func consistent(t *rapid.T, q *Queue) {
	p := newPlan(q.Snapshot(q.now))
	p.inherit()
	for _, want := range p.entries {
		got := q.entries[want.c.Key]
		require.Equal(t, want.own, got.own, "own rank of %s", want.c.Key)
		require.Equal(t, p.open(want, nil), got.isOpen, "openness of %s", want.c.Key)
		require.Equal(t, want.eff, got.eff, "inherited rank of %s under %s", want.c.Key, q.strategy)
	}
}

func shown(s Snapshot) string {
	b, err := canonicalJSON(s)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
