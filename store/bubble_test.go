package store

import (
	"crypto/rand"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// TestInVirtualTime runs stores inside a bubble, as package sim does: the bubble ends
// only when every goroutine of Pebble has, and its clock moves only while all of them
// wait, so an idle store must not keep time from passing.
func TestInVirtualTime(t *testing.T) {
	mem := vfs.NewCrashableMem()
	for range 3 { // Pebble's pools outlive a bubble: nothing in them may belong to a bubble
		synctest.Test(t, func(t *testing.T) {
			s, err := Open(small(mem))
			require.NoError(t, err)
			_, err = s.Identify("", "a", time.Unix(1_800_000_000, 0), rand.Reader)
			require.NoError(t, err)
			for i := range 200 { // enough for flushes and compactions
				require.NoError(t, set(s, text(i), strings.Repeat("v", 2000)))
			}
			put(t, s.Blobs(), "x")
			require.NotContains(t, stacks(), "periodicGranter", "an idle store has no periodic timer")
			start := time.Now()
			time.Sleep(24 * time.Hour)
			require.Equal(t, 24*time.Hour, time.Since(start))
			mem = crashed(mem, 0, 1)
			require.NoError(t, s.Close())
		})
	}
	require.Len(t, contents(t, mustOpen(t, small(mem)), ""), 200)
}
