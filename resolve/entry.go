package resolve

import (
	"slices"

	"github.com/urban-compute/ucp/job"
)

// state is where a job stands at this executor.
type state uint8

const (
	pending state = iota
	suspended
	running
)

// entry is a job with what the order needs to know of it. [Plan] makes its entries each time, [Queue] keeps them.
type entry struct {
	c     *Candidate
	state state
	own   rank   // without what it inherits here
	eff   rank   // with it (rule C5)
	dev   string // equal for jobs which want the same devices

	indexed // Queue's own
}

// turn orders entries: the higher rank first, then the earlier arrival.
func (e *entry) turn(f *entry) int {
	if n := f.eff.compare(e.eff); n != 0 {
		return n
	}
	return e.c.compare(f.c)
}

// need is what the job must get to run.
func (e *entry) need() job.Resources {
	if e.state == suspended {
		return e.c.suspendedWant()
	}
	return e.c.Want
}

// holds is what the job has now.
func (e *entry) holds() job.Resources {
	switch e.state {
	case running:
		return e.c.Want
	case suspended:
		return e.c.keeps()
	}
	return job.Resources{}
}

// contends reports whether the job wants to run and does not.
func (e *entry) contends() bool {
	return e.state != running && e.c.Leaving == stays
}

// holdsKey reports whether the job holds its exclusive key.
func (e *entry) holdsKey() bool { return e.c.Exclusive != "" && e.state != pending }

// room is what is free, to take from and give to. Its map of devices is its own.
type room struct{ job.Resources }

func newRoom(r job.Resources) room {
	if r.Devices != nil {
		devices := make(map[string]int64, len(r.Devices))
		for name, n := range r.Devices {
			devices[name] = n
		}
		r.Devices = devices
	}
	return room{r}
}

func (r *room) add(x job.Resources, sign int64) {
	r.CPU += sign * x.CPU
	r.Memory += sign * x.Memory
	r.IO += sign * x.IO
	for name, n := range x.Devices {
		if r.Devices == nil {
			r.Devices = map[string]int64{}
		}
		r.Devices[name] += sign * n
	}
}

func (r *room) take(x job.Resources) { r.add(x, -1) }
func (r *room) give(x job.Resources) { r.add(x, +1) }

// hasDevices, hasMemory and has report whether that part of x, or all, fits.
func (r *room) hasDevices(x job.Resources) bool {
	for name, n := range x.Devices {
		if n > r.Devices[name] {
			return false
		}
	}
	return true
}
func (r *room) hasMemory(x job.Resources) bool { return x.Memory <= r.Memory }
func (r *room) has(x job.Resources) bool {
	return x.CPU <= r.CPU && x.Memory <= r.Memory && x.IO <= r.IO && r.hasDevices(x)
}

// The reserve functions keep room for one that waits: what it wants is taken, as
// far as it is there.
func (r *room) reserveDevices(x job.Resources) {
	for name, n := range x.Devices {
		if r.Devices[name] > 0 {
			r.Devices[name] = max(0, r.Devices[name]-n)
		}
	}
}
func (r *room) reserveMemory(x job.Resources) {
	r.Memory = clipped(r.Memory, x.Memory)
	r.reserveDevices(x)
}
func (r *room) reserve(x job.Resources) {
	r.CPU, r.IO = clipped(r.CPU, x.CPU), clipped(r.IO, x.IO)
	r.reserveMemory(x)
}

func clipped(have, want int64) int64 { return min(have, max(0, have-want)) }

// byTurn sorts entries.
func byTurn(list []*entry) []*entry {
	slices.SortFunc(list, (*entry).turn)
	return list
}
