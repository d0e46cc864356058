package node

import (
	"context"
	"os"
	"runtime/debug"
	gauge "runtime/metrics"
	"time"
)

// Of an idle broker the collector may let the heap grow to twice of what lives, as Go
// does anyway: it is small then. A busy one fills that several times a second, and would
// spend an eighth of its time on collecting: it may leave a 64th of the machine's memory
// uncollected instead, within bounds. A heap that is larger than that doubles before it
// is collected, as always. How busy it is shows in how much it allocates: how often it
// collects depends on the room that it was given. What it had as room goes back to the
// machine when it is idle again.
const (
	idlePercent = 100
	busyPercent = 1600 // at most
	sparePart   = 64
	spareMin    = 16 << 20
	spareMax    = 256 << 20
	paceEvery   = time.Second
	busyFills   = 2  // times that a broker allocates as much as lives, between two looks, make it busy
	idleLooks   = 15 // looks in a row between which it allocates less make it idle again
)

// PaceCollector adapts the garbage collector of this process to how much there is to
// do, until the context ends. It is for a process that runs one broker and nothing else;
// it leaves alone what the operator has set with GOGC. A GOMEMLIMIT holds in any case.
func PaceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	looks := time.NewTicker(paceEvery)
	defer looks.Stop()
	defer debug.SetGCPercent(debug.SetGCPercent(idlePercent))
	samples := []gauge.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	p := pace{spare: uint64(min(max(machineMemory()/sparePart, spareMin), spareMax))}
	set := idlePercent
	for {
		select {
		case <-ctx.Done():
			return
		case <-looks.C:
		}
		gauge.Read(samples)
		if want := p.percent(samples[0].Value.Uint64(), samples[1].Value.Uint64()); want != set {
			set = want
			debug.SetGCPercent(want) // stops all goroutines for a moment: only for news
			if !p.busy {
				debug.FreeOSMemory()
			}
		}
	}
}

// pace decides how much the heap may grow between two collections.
type pace struct {
	spare     uint64 // bytes that a busy broker may leave uncollected, at least
	allocated uint64 // bytes, until the last look
	busy      bool
	quiet     int // looks since the last one that found it busy
}

// percent takes the bytes that were allocated so far and those that lived after the last collection, and returns by how many
// percent of the latter the heap may grow.
func (p *pace) percent(allocated, live uint64) int {
	fresh := allocated - p.allocated
	p.allocated = allocated
	if live > 0 && fresh/live >= busyFills {
		p.busy, p.quiet = true, 0
	} else {
		p.quiet++
		p.busy = p.busy && p.quiet < idleLooks
	}
	if !p.busy || live == 0 {
		return idlePercent
	}
	// In steps: a heap that grows slowly counts as the same.
	return int(min(max(2*p.spare/live*50, idlePercent), busyPercent))
}
