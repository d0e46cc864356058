package store

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// tight is a file system that is full, while it is, until the ballast is removed, or for good.
type tight struct {
	vfs.FS
	mem         *vfs.MemFS
	total, free atomic.Uint64
	full        atomic.Bool // nothing can be written while there is a ballast
	stuck       atomic.Bool // nothing can be written
}

func newTight() *tight {
	t := &tight{mem: vfs.NewMem()}
	t.total.Store(8 << 20)
	t.free.Store(6 << 20)
	t.FS = errorfs.Wrap(t.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !changes(op) || op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpRemoveAll || !strings.HasPrefix(op.Path, "/data/") {
			return nil
		}
		if t.stuck.Load() || t.full.Load() && t.hasBallast() {
			return syscall.ENOSPC
		}
		return nil
	}))
	return t
}

func (t *tight) hasBallast() bool {
	_, err := t.mem.Stat("/data/" + ballastFile)
	return err == nil
}

func (t *tight) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{TotalBytes: t.total.Load(), AvailBytes: t.free.Load(), UsedBytes: t.total.Load() - t.free.Load()}, nil
}

func (t *tight) options() Options {
	o := small(t)
	o.Ballast = 4 << 20
	return o
}

// A start on a full disk uses the space that was kept for it, whether the file system says that it is full or only refuses, and
// all that was committed is there. The ballast is made again when there is room for it twice.
func TestAFullDiskStartsAgain(t *testing.T) {
	for name, free := range map[string]uint64{"says so": 0, "only refuses": 6 << 20} {
		t.Run(name, func(t *testing.T) {
			disk := newTight()
			s := mustOpen(t, disk.options())
			require.EqualValues(t, 1<<20, s.Ballast(), "an eighth of the disk")
			info, err := disk.mem.Stat("/data/" + ballastFile)
			require.NoError(t, err)
			require.EqualValues(t, 1<<20, info.Size())
			require.NoError(t, set(s, "k", "before"))
			require.NoError(t, s.Close())

			disk.full.Store(true)
			disk.free.Store(free)
			s = mustOpen(t, disk.options())
			require.False(t, disk.hasBallast() && free == 0, "the ballast is not made again without room")
			require.Equal(t, map[string]string{"k": "before"}, contents(t, s, "k"))
			disk.full.Store(false)
			require.NoError(t, set(s, "l", "after"))

			disk.free.Store(2<<20 - 1)
			if free == 0 {
				require.NoError(t, s.KeepBallast())
				require.False(t, disk.hasBallast(), "there is room for it once only")
				require.Zero(t, s.Ballast())
			}
			disk.free.Store(2 << 20)
			require.NoError(t, s.KeepBallast())
			require.True(t, disk.hasBallast())
			require.EqualValues(t, 1<<20, s.Ballast())
			require.NoError(t, s.Close())
		})
	}
}

// Where even the ballast does not help, or there is none, the error says what to free, and nothing that was committed is lost.
func TestAFullDiskSaysWhatToFree(t *testing.T) {
	disk := newTight()
	s := mustOpen(t, disk.options())
	require.NoError(t, set(s, "k", "before"))
	require.NoError(t, s.Close())
	disk.stuck.Store(true)
	for range 2 {
		_, err := Open(disk.options())
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorContains(t, err, "free 1 MiB or more on the disk of /data and start again; in that directory itself, wasm-cache and blobs/corrupt may be removed, and nothing else")
		require.False(t, disk.hasBallast())
	}
	disk.stuck.Store(false)
	s = mustOpen(t, disk.options())
	require.Equal(t, map[string]string{"k": "before"}, contents(t, s, "k"))
	require.True(t, disk.hasBallast())
	require.NoError(t, s.Close())
}

// A ballast that can't be made leaves nothing behind, and the store is open all the same.
func TestABallastThatCannotBeMade(t *testing.T) {
	disk := newTight()
	o := disk.options()
	o.FS = errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && op.Path == "/data/"+ballastFile {
			return syscall.EDQUOT
		}
		return nil
	}))
	s := mustOpen(t, o)
	require.ErrorIs(t, s.KeepBallast(), syscall.EDQUOT)
	require.False(t, disk.hasBallast())
	require.Zero(t, s.Ballast())
	require.NoError(t, set(s, "k", "v"))
	require.NoError(t, s.Close())
}

// A file system that does not say how large it is has no ballast, and one is not wanted by default.
func TestNoBallast(t *testing.T) {
	mem := vfs.NewMem()
	o := small(mem)
	o.Ballast = 4 << 20
	s := mustOpen(t, o)
	require.Zero(t, s.Ballast())
	require.NoError(t, s.Close())
	disk := newTight()
	s = mustOpen(t, small(disk))
	require.False(t, disk.hasBallast())
	require.NoError(t, s.Close())
}
