package gossip

import (
	"sync"
	"time"
)

// How many user events with a ucp: name (queryPrefix) all RPC clients together may send through this node.
const (
	rpcEventRate  = 20  // per second
	rpcEventBurst = 100 // at once, after a pause
)

// rateLimiter is a token bucket of rpcEventBurst tokens that is refilled at rpcEventRate.
type rateLimiter struct {
	mu    sync.Mutex
	spent float64 // tokens
	last  time.Time
}

// take reports whether one more event may pass now.
func (l *rateLimiter) take(now time.Time) bool {
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
