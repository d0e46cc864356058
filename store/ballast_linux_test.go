package store

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// fillUp takes every byte of a disk that is left.
func fillUp(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filling"))
	require.NoError(t, err)
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			size /= 2
		}
	}
	require.NoError(t, f.Close())
}

// On a real disk without a byte left the store opens, and goes on writing; without its ballast it does not.
func TestARealDiskIsFull(t *testing.T) {
	disk := mounted(t, "tmpfs", "tmpfs", "size=24m")
	o := Options{Dir: filepath.Join(disk, "data"), FS: vfs.Default, Ballast: 2 << 20}
	s := mustOpen(t, o)
	for range 100 {
		require.NoError(t, set(s, "k", string(make([]byte, 4<<10))))
	}
	require.NoError(t, s.Close())
	fillUp(t, disk)
	s = mustOpen(t, o)
	require.Len(t, contents(t, s, "k"), 1)
	require.NoError(t, set(s, "l", "after"))
	require.NoError(t, s.Close())

	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, ballastFile))) // made again if the start has freed enough
	fillUp(t, disk)
	_, err := Open(o)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "free 2 MiB or more on the disk of "+o.Dir)
	require.NoError(t, os.Remove(filepath.Join(disk, "filling")))
	s = mustOpen(t, o)
	require.Equal(t, "after", contents(t, s, "l")["l"])
	require.EqualValues(t, 2<<20, s.Ballast())
	require.NoError(t, s.Close())
}
