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
// is collected, as always.
const (
	idlePercent = 100
	busyPercent = 1600 // at most
	sparePart   = 64
	spareMin    = 16 << 20
	spareMax    = 256 << 20
	paceEvery   = time.Second
	busyCycles  = 2  // collections between two looks make a broker busy
	idleLooks   = 15 // looks without one make it idle again
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
	samples := []gauge.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
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
		}
	}
}

// pace decides how much the heap may grow between two collections.
type pace struct {
	spare  uint64 // bytes that a busy broker may leave uncollected, at least
	cycles uint64 // at the last look
	busy   bool
	quiet  int // looks since the last collection
}

// percent takes the collections so far and the bytes that lived after the last one, and
// returns by how many percent of those the heap may grow.
func (p *pace) percent(cycles, live uint64) int {
	fresh := cycles - p.cycles
	p.cycles = cycles
	switch {
	case fresh >= busyCycles:
		p.busy, p.quiet = true, 0
	case fresh > 0:
		p.quiet = 0
	default:
		p.quiet++
		p.busy = p.busy && p.quiet < idleLooks
	}
	if !p.busy || live == 0 {
		return idlePercent
	}
	// In steps: a heap that grows slowly counts as the same.
	return int(min(max(2*p.spare/live*50, idlePercent), busyPercent))
}
