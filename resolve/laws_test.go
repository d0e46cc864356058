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

// sessions draws jobs of several sessions with random happens-before between them.
// Arrival times need not agree with it (a clock may be wrong by an hour).
func sessions(t *rapid.T) []*Candidate {
	var out []*Candidate
	for i := range rapid.IntRange(2, 12).Draw(t, "jobs") {
		c := &Candidate{
			Key: fmt.Sprintf("j%02d", i), Want: cpu(100), By: "a",
			Arrived: at(int64(rapid.IntRange(1, 20).Draw(t, "arrived")) * 1000),
			User:    rapid.IntRange(0, 10).Draw(t, "user"),
		}
		for j := range i {
			if rapid.IntRange(0, 3).Draw(t, "seen") == 0 {
				c.Deps = append(c.Deps, out[j].Key)
			}
		}
		out = append(out, c)
	}
	return out
}

// startOrder lets jobs run one after the other, each to its end.
func startOrder(s Snapshot) (order []string) {
	for len(s.Pending) > 0 {
		d := Plan(s)
		if len(d.Start) == 0 {
			return order
		}
		order = append(order, d.Start...)
		s = s.after(d)
		s.Running = nil
	}
	return order
}

// those are the strategies of which something holds.
func those(holds func(*strategy) bool) (out []Strategy) {
	for i := range strategies {
		if holds(&strategies[i]) {
			out = append(out, strategies[i].name)
		}
	}
	return out
}

// The causal order is a linear extension of happens-before (rule C1).
func TestCausalOrderExtendsHappensBefore(t *testing.T) {
	causal := those(func(s *strategy) bool { return s.causal })
	rapid.Check(t, func(t *rapid.T) {
		jobs := sessions(t)
		s := Snapshot{Now: minute, Strategy: rapid.SampledFrom(causal).Draw(t, "strategy"), Weights: DefaultWeights(), Pending: jobs,
			Capacity: cpu(int64(rapid.IntRange(1, 5).Draw(t, "together")) * 100)}
		s.Capacity.Memory = 100
		order := startOrder(s)
		require.Len(t, order, len(jobs), "a job never had its turn")
		for _, c := range jobs {
			for _, d := range c.Deps {
				require.Less(t, slices.Index(order, d), slices.Index(order, c.Key), "%s runs before %s, which it had seen", c.Key, d)
			}
		}
	})
}

// The counter-example: sorting by "causal, else priority" is wrong, since that
// relation has circles. A before B; priorities B 9, C 5, A 1; C is concurrent to both.
func TestTheNaiveComparatorHasCircles(t *testing.T) {
	a := &Candidate{Key: "A", User: 1, Want: cpu(100), Arrived: 1}
	b := &Candidate{Key: "B", User: 9, Want: cpu(100), Arrived: 2, Deps: []string{"A"}}
	c := &Candidate{Key: "C", User: 5, Want: cpu(100), Arrived: 3}
	naive := func(x, y *Candidate) bool { // x goes before y
		switch {
		case slices.Contains(y.Deps, x.Key):
			return true
		case slices.Contains(x.Deps, y.Key):
			return false
		}
		return x.User > y.User
	}
	require.True(t, naive(a, b) && naive(b, c) && naive(c, a), "A < B < C < A")

	// Whatever a sort makes of that, one order of the input breaks happens-before.
	broken := false
	for _, in := range [][]*Candidate{{a, b, c}, {a, c, b}, {b, a, c}, {b, c, a}, {c, a, b}, {c, b, a}} {
		list := slices.Clone(in)
		for i := range list { // insertion sort: any sort may do this
			for k := i; k > 0 && naive(list[k], list[k-1]); k-- {
				list[k], list[k-1] = list[k-1], list[k]
			}
		}
		broken = broken || slices.Index(list, b) < slices.Index(list, a)
		s := Snapshot{Strategy: Causal, Weights: DefaultWeights(), Capacity: cpu(100), Pending: in}
		require.Equal(t, []string{"A", "B", "C"}, startOrder(s), "what Plan does, in whatever order it is told")
	}
	require.True(t, broken, "the naive comparator breaks happens-before")
}

// After any history: no more is held than there is, one job holds a key, what the strategy
// looks at first (the emergency level, say) is never passed over for a lower one, the decision does not depend
// on the order of the snapshot, and the machine does not idle while a job could run.
func TestDecisionsAreSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			h.happen()
			s := h.q.Snapshot(h.now)
			shuffled := s
			shuffled.Pending = rapid.Permutation(s.Pending).Draw(t, "pending")
			shuffled.Running = rapid.Permutation(s.Running).Draw(t, "running")
			d := Plan(s)
			require.Equal(t, d, Plan(shuffled), "the order of the snapshot matters")
			h.q.Resolve(h.now)
			sound(t, h.q.Snapshot(h.now))
			firstHolds(t, s, d)
			displacersStay(t, s, d)
		}
	})
}

func sound(t *rapid.T, s Snapshot) {
	held := job.Resources{}
	keys := map[string]string{}
	for _, list := range [][]*Candidate{s.Running, s.Suspended} {
		for _, c := range list {
			if c.Exclusive != "" {
				require.Empty(t, keys[c.Exclusive], "%s and %s hold %s", c.Key, keys[c.Exclusive], c.Exclusive)
				keys[c.Exclusive] = c.Key
			}
		}
	}
	for _, c := range s.Running {
		held = held.Plus(c.Want)
	}
	for _, c := range s.Suspended {
		held = held.Plus(c.keeps())
	}
	require.Empty(t, s.Capacity.Lacks(held))

	// When no job runs or leaves, none could run.
	if len(s.Running) > 0 || slices.ContainsFunc(s.Suspended, func(c *Candidate) bool { return c.Leaving != stays }) {
		return
	}
	require.Empty(t, s.Suspended, "all are suspended and none resumes")
	p := newPlan(s)
	p.inherit()
	for _, e := range p.eligible() {
		t.Fatalf("%s could run on an idle machine", e.c.Key)
	}
}

// firstHolds: the first that waits for room alone would not fit without those of a
// lower first (under emergency: of a lower level) that start either.
func firstHolds(t *rapid.T, s Snapshot, d Decision) {
	p := newPlan(s)
	p.expire()
	p.inherit()
	before := newRoom(p.free())
	lower := newRoom(p.free())
	heads := p.eligible()
	for _, key := range d.Start {
		before.take(p.byKey[key].need())
	}
	for _, key := range d.Resume {
		before.take(p.byKey[key].need())
	}
	for _, e := range heads {
		if slices.Contains(d.Start, e.c.Key) || slices.Contains(d.Resume, e.c.Key) || p.holder(e) != nil || e.state != pending {
			continue
		}
		lower = newRoom(before.Resources)
		for _, key := range d.Start {
			if f := p.byKey[key]; f.eff.first < e.eff.first {
				lower.give(f.need())
			}
		}
		require.False(t, !before.has(e.need()) && lower.has(e.need()), "under %s %s of first %d waits while lower ones start: %v", s.Strategy, e.c.Key, e.eff.first, d.Start)
		return // for those behind it, room may be kept that is meant for this one
	}
}

// displacersStay: no job displaces what displaced it, unless that was for an emergency level which has come
// down since; nor one that must not be displaced.
func displacersStay(t *rapid.T, s Snapshot, d Decision) {
	p := newPlan(s)
	for _, x := range d.Preempt {
		v := p.byKey[x.Victim].c
		if e := p.byKey[x.For].c; v.level() >= e.DisplacedAt || v.mode() != job.Suspend {
			require.NotContains(t, e.DisplacedBy, x.Victim, "ping-pong")
		}
		require.NotEqual(t, job.Never, v.mode())
		require.Equal(t, v.mode(), x.Mode)
		require.True(t, s.Strategy.row().preempts, "%s preempts", s.Strategy)
	}
}

// Two jobs never evict each other in turn: without new arrivals the number of preemptions is bounded by the
// pairs of jobs, and all jobs end.
func TestNoPingPong(t *testing.T) {
	preempting := those(func(s *strategy) bool { return s.preempts })
	rapid.Check(t, func(t *rapid.T) {
		q := NewQueue(testCapacity)
		q.SetStrategy(rapid.SampledFrom(preempting).Draw(t, "strategy"), DefaultWeights())
		n := rapid.IntRange(2, 8).Draw(t, "jobs")
		left := map[string]int{}
		for i := range n {
			c := drawn(t, i)
			c.Deps, c.After, c.Length = nil, nil, 0
			if c.Deadline != 0 {
				c.Deadline += 1e6 * minute // it orders, where the strategy looks at it, and never passes
			}
			if testCapacity.Fits(c.Want) {
				q.Add(c)
				left[c.Key] = 3 // turns of half a minute
			}
		}
		now, preempts := clock.Time(20*minute), map[[2]string]int{}
		for range 40 * n {
			for _, p := range q.Resolve(now).Preempt {
				preempts[[2]string{p.Victim, p.For}]++
				require.Zero(t, preempts[[2]string{p.For, p.Victim}], "%s and %s displace each other", p.Victim, p.For)
				if p.Mode == job.Suspend {
					q.Suspended(p.Victim, now)
				} else {
					q.Requeued(p.Victim)
				}
			}
			q.Resolve(now)
			now += minute / 2
			for _, e := range slices.Clone(q.on) {
				if left[e.c.Key]--; left[e.c.Key] <= 0 {
					q.Remove(e.c.Key)
				}
			}
			for _, e := range slices.Clone(q.leaving) {
				if e.c.Leaving == suspends {
					q.Suspended(e.c.Key, now)
				} else {
					q.Requeued(e.c.Key)
				}
			}
		}
		running, waits := q.Counts()
		require.Zero(t, running+waits, "not all ended")
	})
}

// Where the score decides, no job of a level starves: on a machine that newcomers of the highest user priority
// fill indefinitely, a job of the lowest has its turn within the bound. (Not every strategy promises that.)
func TestNoStarvationByScore(t *testing.T) {
	for _, s := range []Strategy{Priority, Causal, Emergency} {
		w := DefaultWeights()
		q := NewQueue(cpu(100))
		q.SetStrategy(s, w)
		now := clock.Time(minute)
		q.Add(Candidate{Key: "first", Want: cpu(100), User: 10, Arrived: at(0)})
		q.Resolve(now)
		q.Add(Candidate{Key: "poor", Want: cpu(100), User: 0, Arrived: at(int64(now))})
		for n := int64(0); ; n++ {
			require.LessOrEqual(t, n, w.starvationBound()+1, "poor starves under %s", s)
			q.Add(Candidate{Key: fmt.Sprintf("rich-%d", n), By: clock.Actor(fmt.Sprint(n)), Want: cpu(100), User: 10, Weight: 10, Arrived: at(int64(now))})
			q.Remove(q.on[0].c.Key)
			if q.Resolve(now); q.on[0].c.Key == "poor" {
				t.Logf("%s: after %d minutes, bound %d", s, n, w.starvationBound())
				break
			}
			now += minute
		}
	}
}

// What a conflict records decides as the whole did, and its bytes are stable.
func TestConflictsReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			h.happen()
			d := h.q.Resolve(h.now)
			for _, c := range d.Conflicts {
				e := c.Explain()
				require.NotEmpty(t, e.Sentence)
				require.Len(t, e.Alternative, len(All())-1)
				require.LessOrEqual(t, len(c.Snapshot.Pending)+len(c.Snapshot.Suspended), maxContenders)
				require.Equal(t, d.Start, e.Decision.Start, "%s", shown(c.Snapshot))
				require.Equal(t, d.Resume, e.Decision.Resume)
				require.Equal(t, d.Preempt, e.Decision.Preempt)
				one, err := c.Export()
				require.NoError(t, err)
				two, err := Replay(one, "")
				require.NoError(t, err)
				require.Equal(t, string(one), string(two))
				_, err = Replay(one, rapid.SampledFrom(All()).Draw(t, "other"))
				require.NoError(t, err)
			}
		}
	})
}
