package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// A sensor box without battery starts in 1970, and without uplink nobody mends that. Its
// emergencies must not be over before they reach anybody, nor others' never begin there:
// for emergencies, whose ends are instants that all brokers share, the time is that of the
// majority (Lamport and Melliar-Smith, "Synchronizing Clocks in the Presence of Faults", 1985).
// All else of a broker goes by its own clocks.

// cityTime is what time it is for emergencies: our wall clock's, unless it is further from
// the median of all live brokers' clocks than MaxClockSkew. Then it is that.
func (b *Broker) cityTime() time.Time { return b.wall.Add(b.drift) }

// cityStamp is the same as a stamp.
func (b *Broker) cityStamp() clock.Hybrid { return clock.HybridAt(b.cityTime()) }

// driftEvery bounds how often the others' clocks are looked at.
const driftEvery = time.Second

// checkDrift reckons how far our wall clock is from the majority's. Of two in the middle
// the nearer to ours is taken: one other alone does not outvote us.
func (b *Broker) checkDrift() {
	if b.now.Sub(b.driftAt) < driftEvery {
		return
	}
	b.driftAt = b.now
	offsets := append(b.peers.Offsets(), 0)
	slices.Sort(offsets)
	low, high := offsets[(len(offsets)-1)/2], offsets[len(offsets)/2]
	drift := low
	if high.Abs() < low.Abs() {
		drift = high
	}
	if drift.Abs() <= b.cfg.MaxClockSkew {
		drift = 0
	}
	if change := drift - b.drift; change.Abs() > driftEvery { // less is the messages' way
		b.drift = drift
		b.refreshBoard()
	}
}
