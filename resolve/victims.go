package resolve

import (
	"cmp"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Suspending frees CPU and io; memory, devices and the exclusive key are free only when the job is requeued. A
// job's spec says what may happen to it, and that is kept to: a winner that needs memory finds its victims
// among those that may be requeued.

// maxDisplacedMargin bounds how often the margin is paid again.
const maxDisplacedMargin = 10

// margin is by how many points a job must be better to displace v.
func (x *turns) margin(v *entry) int64 {
	return x.weights.Margin * int64(1+min(v.c.Displaced, maxDisplacedMargin))
}

// outranks reports whether e is enough above v to displace it.
func (x *turns) outranks(e, v *entry) bool {
	r := x.against(e, v)
	switch {
	case e.eff.first != r.first:
		return e.eff.first > r.first
	case x.strategy.packs:
		// This asks about one victim; gains asks the same about all together. A job that began
		// this very instant was just found to be worth its room.
		return v.c.Began < x.now && x.value(e) > max(1, x.weights.points(r.score, x.now))
	}
	return e.eff.score >= r.score+x.margin(v)*minute
}

// mayDisplace reports whether v is a possible victim of e at all.
func (x *turns) mayDisplace(e, v *entry) bool {
	switch {
	case v.c.mode() == job.Never || v.c.Leaving != stays:
		return false
	case x.takesBack(e, v):
		return true
	}
	return !slices.Contains(e.c.DisplacedBy, v.c.Key) && // no job displaces what displaced it
		x.outranks(e, v)
}

// takesBack reports whether v has its room from e for an emergency that is over, or less severe now: e takes
// back what it lent for that reason, without a margin, when e has its turn before v and no work is lost by it.
// It can't go back and forth: for v to displace e again, the level of e must rise in between.
func (x *turns) takesBack(e, v *entry) bool {
	by := e.c.DisplacedBy
	return len(by) > 0 && by[len(by)-1] == v.c.Key && v.c.level() < e.c.DisplacedAt &&
		v.c.mode() == job.Suspend && e.turn(v) < 0
}

// lost is how much work of a victim is lost, in milliseconds of its run.
func (x *turns) lost(v *entry) int64 {
	if v.c.mode() == job.Suspend {
		return 0
	}
	const most = 1 << 40
	return min(max(int64(x.now-v.c.Began), 0)+int64(clock.Time(v.c.Ran)/1e6), most)
}

// cost compares victims: those of a lower tier first, then those that lose the least work, then those that were
// displaced least.
func (x *turns) cost(v *entry) int64 {
	if x.strategy.packs {
		return x.loss(v)
	}
	return (x.strategy.tierOf(v.eff.first)+1)<<48 + x.lost(v) + int64(min(v.c.Displaced, 1<<20))*minute
}

// victims returns the fewest and, among as few, the cheapest running jobs that make room for e; nil when there
// are none. Up to three are searched exactly, more are collected from the cheapest on.
func (x *turns) victims(e, holder *entry, need job.Resources) []*entry {
	may := make([]option, 0, len(x.running))
	for _, v := range x.running {
		if x.mayDisplace(e, v) {
			may = append(may, option{v, v.c.freed(Leaving(v.c.mode())), x.cost(v)})
		}
	}
	slices.SortFunc(may, func(a, b option) int {
		if a.cost != b.cost {
			return cmp.Compare(a.cost, b.cost)
		}
		return b.turn(a.entry)
	})
	s := search{need: need, room: newRoom(x.soon.Resources)}
	if !x.keyComes(holder) {
		at := slices.IndexFunc(may, func(o option) bool { return o.entry == holder })
		if at < 0 || holder.c.mode() != job.Requeue {
			return nil
		}
		s.add(may[at]) // without the key nothing helps
		may = slices.Delete(may, at, at+1)
	}
	s.fewest(may)
	if s.best == nil || x.strategy.packs && !x.gains(e, s.best) {
		return nil
	}
	return s.best
}

// option is a possible victim: what it frees, and what that costs.
type option struct {
	*entry
	frees job.Resources
	cost  int64
}

// search looks for the fewest and cheapest set that makes room.
type search struct {
	need   job.Resources
	room   room
	chosen []option
	sum    int64

	best     []*entry
	bestCost int64
}

// exact bounds how many candidates are searched in triples.
const exact = 32

func (s *search) add(v option) {
	s.room.give(v.frees)
	s.chosen = append(s.chosen, v)
	s.sum += v.cost
}

func (s *search) drop() {
	v := s.chosen[len(s.chosen)-1]
	s.room.take(v.frees)
	s.chosen = s.chosen[:len(s.chosen)-1]
	s.sum -= v.cost
}

// fewest sets best to the fewest and cheapest of those that may leave; to nil when all together are not enough.
func (s *search) fewest(may []option) {
	for _, v := range may {
		s.add(v)
	}
	enough := s.room.has(s.need)
	for range may {
		s.drop()
	}
	if !enough {
		return
	}
	most := 3
	if len(may) > exact {
		most = 2
	}
	var cpu, memory int64 // the most that one of them frees
	for _, v := range may {
		cpu, memory = max(cpu, v.frees.CPU), max(memory, v.frees.Memory)
	}
	for n := 0; n <= most; n++ {
		if m := int64(n); s.room.CPU+m*cpu < s.need.CPU || s.room.Memory+m*memory < s.need.Memory {
			continue // so few can't be enough
		}
		if s.combine(may, n); s.best != nil {
			return
		}
	}
	s.greedy(may)
}

// combine tries all sets of n further victims.
func (s *search) combine(may []option, n int) {
	if n == 0 {
		if (s.best == nil || s.sum < s.bestCost) && len(s.chosen) > 0 && s.room.has(s.need) {
			s.best, s.bestCost = s.victims(s.chosen), s.sum
		}
		return
	}
	for i, v := range may {
		if s.best != nil && s.sum+v.cost >= s.bestCost {
			return // none behind it is cheaper
		}
		s.add(v)
		s.combine(may[i+1:], n-1)
		s.drop()
	}
}

// greedy collects from the cheapest on, and then lets go those that it does not need, the dearest first.
func (s *search) greedy(may []option) {
	fixed := len(s.chosen)
	for _, v := range may {
		s.add(v)
		if s.room.has(s.need) {
			break
		}
	}
	for i := len(s.chosen) - 1; i >= fixed; i-- {
		v := s.chosen[i]
		s.room.take(v.frees)
		if s.room.has(s.need) {
			s.chosen = slices.Delete(s.chosen, i, i+1)
		} else {
			s.room.give(v.frees)
		}
	}
	s.best = s.victims(s.chosen)
}

func (s *search) victims(chosen []option) (out []*entry) {
	for _, v := range chosen {
		out = append(out, v.entry)
	}
	return out
}
