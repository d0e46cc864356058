package node

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// An idle broker stays small, a busy one is given room, but never more than
// its spare bytes or as much as lives; when it has nothing more to do, it gives the room back.
func TestPaceOfTheCollector(t *testing.T) {
	const mb = 1 << 20
	allocated := uint64(3 * mb)
	p := pace{spare: 64 * mb, allocated: allocated}
	look := func(fresh, live uint64) int {
		allocated += fresh
		return p.percent(allocated, live)
	}
	require.Equal(t, 100, look(0, 10*mb))
	require.Equal(t, 100, look(19*mb, 10*mb), "a collection now and then is no load")
	require.Equal(t, 600, look(20*mb, 10*mb))
	require.Equal(t, 400, look(16*mb, 16*mb), "busy still")
	require.Equal(t, 200, look(0, 30*mb))
	require.Equal(t, 100, look(0, 60*mb))
	require.Equal(t, 100, look(1000*mb, 500*mb), "a large heap doubles, as always")
	require.Equal(t, 1600, look(2*mb, mb))
	require.Equal(t, 100, look(50*mb, 0), "nothing is known yet")
	require.Equal(t, 1600, look(2*mb, mb))
	for range idleLooks - 1 {
		require.Equal(t, 1600, look(mb, mb), "and what it allocates now and then keeps it busy no longer")
	}
	require.Equal(t, 100, look(mb, mb), "idle again")
	require.Equal(t, 100, look(mb, mb))
	for live := uint64(mb); live < 300*mb; live += mb {
		extra := live * uint64(look(busyFills*live, live)) / 100
		require.LessOrEqual(t, extra, max(p.spare, live), "%d MiB", live/mb)
	}
}

// A broker that was busy gives the machine back what it had as room, although it goes on allocating a little.
func TestAnIdleBrokerGivesMemoryBack(t *testing.T) {
	t.Setenv("GOGC", "")
	require.NoError(t, os.Unsetenv("GOGC"))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go PaceCollector(ctx)
		unused := func() (bytes uint64) { // that the process has of the machine
			s := []metrics.Sample{{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
			metrics.Read(s)
			return s[0].Value.Uint64() + s[1].Value.Uint64()
		}
		second := func(bytes int) { // in which so much is allocated
			for range bytes >> 16 {
				garbage = make([]byte, 1<<16)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		debug.FreeOSMemory()
		fresh := unused()
		for range 2 {
			second(2 << 30)
		}
		require.Greater(t, gcPercent(), idlePercent, "a busy one is given room")
		runtime.GC()
		require.Greater(t, unused(), fresh+16<<20, "which it keeps")
		for range idleLooks {
			second(1 << 20)
		}
		require.Equal(t, idlePercent, gcPercent())
		require.Less(t, unused(), fresh+8<<20)
	})
}

// gcPercent is what the collector was told last.
func gcPercent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

var garbage []byte // on the heap

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
