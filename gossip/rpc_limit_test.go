package gossip

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A hundred events may come at once and then twenty per second, and after any pause no more than a hundred;
// refused events do not count.
func TestRateLimiter(t *testing.T) {
	var l rateLimiter
	now := time.Unix(1_700_000_000, 0)
	takes := func(n int) (taken int) {
		for range n {
			if l.take(now) {
				taken++
			}
		}
		return taken
	}
	require.Equal(t, rpcEventBurst, takes(1000))
	now = now.Add(time.Second / rpcEventRate)
	require.Equal(t, 1, takes(1000))
	now = now.Add(time.Second)
	require.Equal(t, rpcEventRate, takes(1000))
	now = now.Add(time.Hour)
	require.Equal(t, rpcEventBurst, takes(1000))
	now = now.Add(time.Millisecond)
	require.Zero(t, takes(1), "a millisecond is not enough for one token")
	for range 50 { // it is refilled at the same rate however often it is asked
		now = now.Add(time.Millisecond)
		takes(1)
	}
	require.Equal(t, rpcEventRate-1, func() int { now = now.Add(950 * time.Millisecond); return takes(1000) }())
}
