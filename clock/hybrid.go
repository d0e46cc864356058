package clock

import (
	"fmt"
	"time"
)

// Hybrid is a hybrid logical clock, or a stamp of one (Kulkarni et al., "Logical Physical Clocks",
// 2014): 48 bits of Unix milliseconds and a 16-bit counter in one integer, so
// that stamps are compared as numbers. It extends happens-before and stays near
// physical time. The zero value is before all other stamps.
type Hybrid uint64

// HybridAt returns the earliest stamp of the given time; times before 1970 give 0.
func HybridAt(t time.Time) Hybrid {
	ms := t.UnixMilli()
	if ms < 0 {
		return 0
	}
	return Hybrid(ms) << 16
}

// Time returns the physical part: the time in UTC, with a resolution of a millisecond.
func (h Hybrid) Time() time.Time { return time.UnixMilli(int64(h >> 16)).UTC() }

// Tick advances the clock for a local event at physical time now, and returns
// the event's stamp. It is higher than all stamps before, even if now runs
// backwards. A counter that overflows carries into the milliseconds (rule I3).
func (h *Hybrid) Tick(now time.Time) Hybrid {
	*h = max(*h+1, HybridAt(now))
	return *h
}

// Observe adopts a stamp of another broker, so that the next Tick is
// higher. A stamp that is more than maxSkew ahead of now is not adopted, and Observe returns
// false: otherwise one wrong clock would spread to all brokers (rule I3).
func (h *Hybrid) Observe(remote Hybrid, now time.Time, maxSkew time.Duration) bool {
	if remote <= *h {
		return true
	}
	if remote.Time().After(now.Add(maxSkew)) {
		return false
	}
	*h = remote
	return true
}

// String returns milliseconds and counter, such as "1700000000000.3".
func (h Hybrid) String() string { return fmt.Sprintf("%d.%d", uint64(h>>16), uint16(h)) }
