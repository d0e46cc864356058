package node

import (
	"context"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// An idle broker stays small, a busy one is given room, but never more than
// its spare bytes or as much as lives; when it has nothing more to do, it gives the room back.
func TestPaceOfTheCollector(t *testing.T) {
	const mb = 1 << 20
	cycles := uint64(3)
	p := pace{spare: 64 * mb, cycles: cycles}
	look := func(fresh, live uint64) int {
		cycles += fresh
		return p.percent(cycles, live)
	}
	require.Equal(t, 100, look(0, 10*mb))
	require.Equal(t, 100, look(1, 10*mb), "one collection now and then is no load")
	require.Equal(t, 600, look(busyCycles, 10*mb))
	require.Equal(t, 400, look(1, 16*mb), "busy still: with more room there are fewer")
	require.Equal(t, 200, look(0, 30*mb))
	require.Equal(t, 100, look(0, 60*mb))
	require.Equal(t, 100, look(5, 500*mb), "a large heap doubles, as always")
	require.Equal(t, 1600, look(5, mb))
	require.Equal(t, 100, look(5, 0), "nothing is known yet")
	for range idleLooks - 1 {
		require.Equal(t, 1600, look(0, mb))
	}
	require.Equal(t, 100, look(0, mb), "idle again")
	require.Equal(t, 100, look(1, mb))
	for live := uint64(mb); live < 300*mb; live += mb {
		extra := live * uint64(look(busyCycles, live)) / 100
		require.LessOrEqual(t, extra, max(p.spare, live), "%d MiB", live/mb)
	}
}

// What was set before is set again, and what the operator has set is left alone.
func TestPaceCollectorLeavesNoTrace(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	t.Setenv("GOGC", "") // else it is the operator's, who may have set it for this test
	require.NoError(t, os.Unsetenv("GOGC"))
	PaceCollector(ctx)
	require.Equal(t, 77, debug.SetGCPercent(77))

	t.Setenv("GOGC", "77")
	PaceCollector(context.Background()) // returns: nothing to do
	require.Equal(t, 77, debug.SetGCPercent(77))
}
