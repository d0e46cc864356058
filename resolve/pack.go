package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/urban-compute/ucp/job"
)

// The strategy optimal packs the most valuable set of jobs into the free room: a multidimensional knapsack,
// solved well and fast instead of exactly. Several greedy orders are tried, among them the alignment of Tetris
// (Grandl et al., SIGCOMM 2014): the dot product of what a job wants and what is left; then single exchanges,
// until none helps.

const (
	// window is how many contenders are weighed against each other at once: those of the highest score.
	window = 64
	// bold is how many of them may make room for themselves.
	bold = 8
)

// value is what it is worth to run a job: its points, at least one.
func (x *turns) value(e *entry) int64 { return max(1, x.weights.points(e.eff.score, x.now)) }

// loss is what it costs to displace v: its value, and the work that is lost.
func (x *turns) loss(v *entry) int64 {
	return x.value(v) + x.lost(v)/minute*v.c.Want.CPU/1000*x.weights.Lost
}

func valueDisplaces(points, others int64) string {
	return fmt.Sprintf("%d points are worth more than %d and the work lost", points, others)
}

func valueWins(points, others int64) string {
	return fmt.Sprintf("what runs is worth most in the room there is (%d points for it, %d for the other)", points, others)
}

// gains reports whether e is worth more than its victims and their lost work.
func (x *turns) gains(e *entry, victims []*entry) bool {
	var sum int64
	for _, v := range victims {
		sum += x.loss(v) + x.margin(v)
	}
	return x.value(e) > sum
}

// packs decides by value. Next lists the first contenders in the order of their turn, holder returns the job that
// holds the key which one wants, apply takes a start into account.
func (x *turns) packs(next func() []*entry, holder func(*entry) *entry, apply func(*entry)) {
	for _, e := range next() { // those for which others left come first: no victim leaves in vain
		h := holder(e)
		switch {
		case !x.keyComes(h) || h == nil && !e.c.Promised:
		case h == nil && x.avail.has(e.need()):
			x.visit(e, nil)
			apply(e)
		case x.soon.has(e.need()):
			x.claim(e, e.need())
		}
	}
	for {
		free := x.unclaimed(next(), holder)
		chosen := x.pack(free)
		for _, e := range chosen {
			x.visit(e, nil)
			apply(e)
		}
		if len(chosen) == 0 {
			break
		}
	}
	list := next()
	list = list[:min(bold, len(list))]
	for again := true; again; { // what one leaves over may be enough for one before it
		again = false
		for _, e := range list {
			if !x.claims[e.c.Key] && x.dare(e, holder(e)) {
				again = true
			}
		}
	}
}

// unclaimed returns those that may be packed.
func (x *turns) unclaimed(list []*entry, holder func(*entry) *entry) (out []*entry) {
	for _, e := range list {
		if !x.claims[e.c.Key] && holder(e) == nil && x.avail.has(e.need()) {
			out = append(out, e)
		}
	}
	return out
}

// dare lets a contender that was not packed make room for itself, if that gains more than it costs, and reports
// whether it does.
func (x *turns) dare(e, holder *entry) bool {
	need := e.need()
	x.first = orElse(x.first, e)
	if holder == nil && x.free.has(need) {
		return false // there is room, kept for a job for which others left
	}
	victims := x.victims(e, holder, need)
	if victims == nil {
		return false
	}
	x.displace(e, victims)
	x.claim(e, need)
	return true
}

// pack chooses the most valuable set of these that fits, and lists it in the order of their turn.
func (x *turns) pack(list []*entry) []*entry {
	if len(list) == 0 {
		return nil
	}
	k := newKnapsack(x.avail.Resources)
	for _, e := range list {
		k.add(x.value(e), e.need())
	}
	var out []*entry
	for i, in := range k.solve() {
		if in {
			out = append(out, list[i])
		}
	}
	return out
}

// knapsack is the problem in numbers: dimensions are CPU, memory, io, devices.
type knapsack struct {
	names []string
	free  []int64
	want  [][]int64
	value []int64
	dense []int // the items, by value for size, the best first
}

func newKnapsack(free job.Resources) *knapsack {
	k := &knapsack{names: slices.Sorted(maps.Keys(free.Devices))}
	k.free = k.vector(free)
	return k
}

func (k *knapsack) vector(r job.Resources) []int64 {
	v := make([]int64, 3, 3+len(k.names))
	v[0], v[1], v[2] = r.CPU, r.Memory, r.IO
	for _, name := range k.names {
		v = append(v, r.Devices[name])
	}
	return v
}

func (k *knapsack) add(value int64, want job.Resources) {
	k.value = append(k.value, value)
	k.want = append(k.want, k.vector(want))
}

// packing is a set of items that fits, and the room that it leaves.
type packing struct {
	in    []bool
	left  []int64
	value int64
}

func (k *knapsack) empty() packing {
	return packing{in: make([]bool, len(k.value)), left: slices.Clone(k.free)}
}

func (p packing) clone() packing {
	return packing{in: slices.Clone(p.in), left: slices.Clone(p.left), value: p.value}
}

func (k *knapsack) fits(p *packing, i int) bool {
	for d, w := range k.want[i] {
		if w > p.left[d] {
			return false
		}
	}
	return true
}

func (k *knapsack) move(p *packing, i int, sign int64) {
	p.in[i] = sign > 0
	p.value += sign * k.value[i]
	for d, w := range k.want[i] {
		p.left[d] -= sign * w
	}
}

// share is a part of a whole in thousandths. A part of a whole that is 0 is all of it (1000).
func share(part, whole int64) int64 {
	if part <= 0 {
		return 0
	}
	if whole <= 0 {
		return 1000
	}
	if part > 1<<50 {
		return part / max(1, whole/1000)
	}
	return part * 1000 / whole
}

// merits are the greedy orders: what makes an item the next one.
var merits = []func(k *knapsack, p *packing, i int) int64{
	func(k *knapsack, _ *packing, i int) int64 { return k.value[i] << 10 },
	func(k *knapsack, p *packing, i int) int64 { return k.perSize(k.free, i) },
	func(k *knapsack, p *packing, i int) int64 { return k.perSize(p.left, i) }, // best fit: what is scarce is dear
	func(k *knapsack, p *packing, i int) int64 { // alignment
		var dot int64
		for d, w := range k.want[i] {
			dot += share(w, k.free[d]) * share(p.left[d], k.free[d])
		}
		return k.value[i] * (1 + dot/1000)
	},
	func(k *knapsack, _ *packing, i int) int64 { // by the dimension that it wants most of
		var most int64
		for d, w := range k.want[i] {
			most = max(most, share(w, k.free[d]))
		}
		return k.value[i] << 20 / (1 + most)
	},
}

func (k *knapsack) perSize(room []int64, i int) int64 {
	var size int64
	for d, w := range k.want[i] {
		size += share(w, room[d])
	}
	return k.value[i] << 20 / (1 + size)
}

// solve returns which items to take.
func (k *knapsack) solve() []bool {
	k.dense = make([]int, len(k.value))
	for i := range k.dense {
		k.dense[i] = i
	}
	slices.SortStableFunc(k.dense, func(i, j int) int {
		return cmp.Compare(k.perSize(k.free, j), k.perSize(k.free, i))
	})
	var best packing
	for n, merit := range merits {
		p := k.greedy(merit)
		if k.exchange(&p); n == 0 || p.value > best.value {
			best = p
		}
	}
	return best.in
}

// greedy takes the item of highest merit that fits, until none does.
func (k *knapsack) greedy(merit func(*knapsack, *packing, int) int64) packing {
	p := k.empty()
	for {
		best, most := -1, int64(0)
		for i := range k.value {
			if p.in[i] || !k.fits(&p, i) {
				continue
			}
			if m := merit(k, &p, i); best < 0 || m > most {
				best, most = i, m
			}
		}
		if best < 0 {
			return p
		}
		k.move(&p, best, +1)
	}
}

// refill takes what fits, in the order of value for size; all but one.
func (k *knapsack) refill(p *packing, not int) {
	for _, i := range k.dense {
		if i != not && !p.in[i] && k.fits(p, i) {
			k.move(p, i, +1)
		}
	}
}

// exchanges bounds the rounds of improvement.
const exchanges = 20

// exchange improves a packing by single moves: one item goes and others take its
// room, or one comes and the worst make room for it.
func (k *knapsack) exchange(p *packing) {
	for range exchanges {
		better := false
		for i := range k.value {
			q := p.clone()
			if p.in[i] {
				k.move(&q, i, -1)
			} else if !k.force(&q, i) {
				continue
			}
			if k.refill(&q, i); q.value > p.value {
				*p, better = q, true
			}
		}
		if !better {
			return
		}
	}
}

// force takes an item in, and takes out those of the least value for their size until it fits.
func (k *knapsack) force(p *packing, i int) bool {
	for n := len(k.dense) - 1; n >= 0 && !k.fits(p, i); n-- {
		if j := k.dense[n]; p.in[j] {
			k.move(p, j, -1)
		}
	}
	if !k.fits(p, i) {
		return false
	}
	k.move(p, i, +1)
	return true
}
