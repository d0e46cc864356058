package resolve

import (
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// turns is one decision under way: jobs are visited in the order of their turn, and each takes what it needs,
// makes room, or waits.
//
// A job that waits reserves what it wants, so that no job behind it delays it:
//
//   - It lacks CPU or io: all that it wants is reserved.
//   - It lacks memory: memory and devices are reserved, but not CPU and io. Only suspended jobs can use those without
//     memory, and they must be able to resume: it may be they that hold the memory.
//   - It lacks a device: devices are reserved, nothing else. The city's one drone must not idle all its computers.
//   - It lacks an exclusive key: nothing is reserved.
type turns struct {
	settings
	avail room // what can be taken now
	soon  room // what can be taken when those that leave are gone, less what is promised

	running []*entry // they may be victims
	leaving []*entry // they are on their way out
	first   *entry   // the first that waits for room
	stuck   bool     // it waits for others to end; no job behind it may make room for itself
	noMem   bool     // memory is reserved: only suspended jobs can start
	blocked []string // what devices jobs want that wait for devices, as [entry.dev]

	aside    func(*entry) rank // a job's rank without what is lent by the jobs that want its key
	free     room              // what no job holds
	acted    []entry           // started, resumed, or others leave for them; in order, as they were
	claims   map[string]bool   // those for which room is coming
	requeued []*entry          // by this decision
	decision Decision
}

// settings are what a decision rests on besides the jobs.
type settings struct {
	now      clock.Time
	strategy *strategy
	override *Override
	weights  Weights
	capacity job.Resources
}

// newTurns begins a decision. Free is what no job holds.
func newTurns(s settings, free job.Resources, on, leaving []*entry, aside func(*entry) rank) *turns {
	x := &turns{settings: s, free: newRoom(free), avail: newRoom(free), soon: newRoom(free), running: on, leaving: leaving, aside: aside}
	if s.strategy.preempts {
		for _, e := range leaving {
			if e.state == running || e.c.Leaving == stopsDead {
				x.soon.give(comes(e))
			}
		}
	}
	return x
}

// comes is what becomes free when a leaving job is gone.
func comes(e *entry) job.Resources {
	if e.state == suspended {
		return e.c.keeps()
	}
	return e.c.freed(e.c.Leaving)
}

// verdict is what came of a visit.
type verdict uint8

const (
	waited verdict = iota
	starts
)

// visit gives one contender its turn. Holder is the local job that holds the exclusive key which it wants, nil
// when the key is free.
func (x *turns) visit(e, holder *entry) verdict {
	need := e.need()
	if holder == nil && x.avail.has(need) {
		x.free.take(need)
		x.avail.take(need)
		x.soon.take(need)
		x.acted = append(x.acted, *e)
		if e.state == suspended {
			x.decision.Resume = append(x.decision.Resume, e.c.Key)
		} else {
			x.decision.Start = append(x.decision.Start, e.c.Key)
		}
		return starts
	}
	if x.strategy.preempts && !x.stuck && x.makeRoom(e, holder, need) {
		x.claim(e, need)
		return waited
	}
	if !x.keyComes(holder) {
		return waited
	}
	x.reserve(e, need)
	return waited
}

// orElse returns e, or other when e is nil.
func orElse(e, other *entry) *entry {
	if e == nil {
		return other
	}
	return e
}

// claim keeps what is there and what is coming for a job for which others leave.
func (x *turns) claim(e *entry, need job.Resources) {
	x.soon.take(need)
	x.avail.reserve(need)
	if x.claims == nil {
		x.claims = map[string]bool{}
	}
	x.claims[e.c.Key] = true
	x.first = orElse(x.first, e)
}

// keyComes reports whether a key is free, or will be free when its holder is gone.
func (x *turns) keyComes(holder *entry) bool {
	return holder == nil || holder.c.Leaving == requeues || holder.c.Leaving == stopsDead || slices.Contains(x.requeued, holder)
}

// makeRoom reports whether room is coming for the job, or makes it come.
func (x *turns) makeRoom(e, holder *entry, need job.Resources) bool {
	if x.keyComes(holder) && x.soon.has(need) {
		return true
	}
	victims := x.victims(e, holder, need)
	if victims == nil {
		return false
	}
	x.displace(e, victims)
	return true
}

// displace makes the victims leave for e.
func (x *turns) displace(e *entry, victims []*entry) {
	x.acted = append(x.acted, *e)
	for _, v := range victims {
		x.soon.give(v.c.freed(Leaving(v.c.mode())))
		if v.c.mode() == job.Requeue {
			x.requeued = append(x.requeued, v)
		}
		x.decision.Preempt = append(x.decision.Preempt, Preempt{
			Victim: v.c.Key, For: e.c.Key, Mode: v.c.mode(), Level: e.c.level(), Why: x.whyPreempt(e, v, x.against(e, v)),
		})
		x.running = slices.DeleteFunc(slices.Clone(x.running), func(r *entry) bool { return r == v })
	}
}

// against is the rank of v that counts against e: without what e itself lends to v, for the key that v holds.
func (x *turns) against(e, v *entry) rank {
	if e.state == pending && v.c.Exclusive != "" && v.c.Exclusive == e.c.Exclusive {
		return x.aside(v)
	}
	return v.eff
}

// whyPreempt says why v, whose rank against e is r, makes room for e.
func (x *turns) whyPreempt(e, v *entry, r rank) string {
	if x.takesBack(e, v) {
		return fmt.Sprintf("it takes its room back: %s got that at level %s, and is at %s now", v.c.name(), job.LevelName(e.c.DisplacedAt), job.LevelName(v.c.level()))
	}
	if e.eff.first > r.first {
		return x.strategy.outranks(e.eff.first, r.first)
	}
	points, others := x.weights.points(e.eff.score, x.now), x.weights.points(r.score, x.now)
	if x.strategy.displaces != nil {
		return x.strategy.displaces(points, others)
	}
	return fmt.Sprintf("%d points against %d, a margin of %d is asked", points, others, x.margin(v))
}

// reserve keeps room for a job that waits.
func (x *turns) reserve(e *entry, need job.Resources) {
	switch {
	case !x.soon.hasDevices(need):
		x.avail.reserveDevices(need)
		x.soon.reserveDevices(need)
		x.blocked = append(x.blocked, e.dev)
		return
	case !x.soon.hasMemory(need):
		x.avail.reserveMemory(need)
		x.soon.reserveMemory(need)
		x.noMem = true
	default:
		x.avail.reserve(need)
		x.soon.reserve(need)
	}
	x.stuck = true
	x.first = orElse(x.first, e)
}

// over reports whether no visit can change anything more: the scan of an index may end.
func (x *turns) over() bool {
	return x.first != nil && x.avail.CPU <= 0 && (x.stuck || !x.strategy.preempts)
}

// anyWaits reports whether room or devices were not enough for all.
func (x *turns) anyWaits() bool { return x.first != nil || len(x.blocked) > 0 }
