package gossip

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A hundred at once, twenty a second, and no more than a hundred after any rest; what was refused
// costs nothing.
func TestLimiter(t *testing.T) {
	var l limiter
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
	require.Zero(t, takes(1), "not yet")
	for range 50 { // asked often, it fills as fast as when it is asked seldom
		now = now.Add(time.Millisecond)
		takes(1)
	}
	require.Equal(t, rpcEventRate-1, func() int { now = now.Add(950 * time.Millisecond); return takes(1000) }())
}
