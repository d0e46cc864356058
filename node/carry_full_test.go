package node

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// On a disk that is full though no reserve says so, blobs of a file have no room, and the rest of it is taken as usual: its records, its clock, and
// smaller blobs behind them.
func TestAFileOnAFullDisk(t *testing.T) {
	var full atomic.Bool
	disk := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "/blobs/tmp/") {
			full.Store(false) // the next one is small enough
			return syscall.ENOSPC
		}
		return nil
	}))
	a := alone(t, "a")
	b := startNode(t, Config{Name: "b", FS: disk, DiskReserve: -1})
	met(t, a, b)
	one := putNamed(t, a, "one", noise(1<<20))
	two := putNamed(t, a, "two", noise(1<<19))
	file, _ := packFile(t, a, api.CarryOptions{})
	full.Store(true)
	r, err := unpackFile(t, b, file)
	require.NoError(t, err)
	require.True(t, r.Adopted && r.Whole, "%+v", r)
	require.Equal(t, []int{1, 1, 1}, []int{r.NoRoom, r.New, r.Lacking})
	require.Contains(t, r.Advice, "no space left")
	require.NotEqual(t, b.blobs.has(one), b.blobs.has(two))
	bring(t, b, a)
	bring(t, a, b)
	require.True(t, b.blobs.has(one) && b.blobs.has(two))
}
