package gossip

import (
	"sync"
	"time"
)

// How many user events with a name of ours (QueryPrefix) RPC clients may send through this
// node: so many a second, and so many at once after a rest.
const (
	rpcEventRate  = 20
	rpcEventBurst = 100
)

// limiter is a token bucket of rpcEventBurst tokens that fills at rpcEventRate.
type limiter struct {
	mu    sync.Mutex
	spent float64
	last  time.Time
}

// take reports whether one more event may pass now.
func (l *limiter) take(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() {
		l.spent = max(0, l.spent-rpcEventRate*now.Sub(l.last).Seconds())
	}
	l.last = now
	if l.spent+1 > rpcEventBurst {
		return false
	}
	l.spent++
	return true
}
