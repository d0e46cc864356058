package clock

import (
	"fmt"
	"time"
)

// Hybrid is a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks",
// 2014): 48 bits of Unix milliseconds and a 16-bit counter in one integer, so
// that comparing is comparing numbers. It extends happens-before and stays near
// physical time. The zero value is before everything.
type Hybrid uint64

// HybridAt returns the earliest Hybrid of the given instant.
func HybridAt(t time.Time) Hybrid {
	ms := t.UnixMilli()
	if ms < 0 {
		return 0
	}
	return Hybrid(ms) << 16
}

// Time returns the physical part: when, to the millisecond, in UTC.
func (h Hybrid) Time() time.Time { return time.UnixMilli(int64(h >> 16)).UTC() }

// Tick advances the clock for a local event at physical time now, and returns
// the event's stamp: always higher than all before it, also when now runs
// backwards. A counter that overflows carries into the milliseconds (rule I3).
func (h *Hybrid) Tick(now time.Time) Hybrid {
	*h = max(*h+1, HybridAt(now))
	return *h
}

// Observe takes in a stamp that came from elsewhere, so that the next Tick is
// higher. A stamp more than maxSkew ahead of now is not adopted, and false is
// returned: adopting it would poison every clock that hears of ours (rule I3).
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

// String renders milliseconds and counter, "1700000000000.3".
func (h Hybrid) String() string { return fmt.Sprintf("%d.%d", uint64(h>>16), uint16(h)) }
