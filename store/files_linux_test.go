package store

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func TestFreeFiles(t *testing.T) {
	n, err := mustOpen(t, small(vfs.NewMem())).FreeFiles()
	require.NoError(t, err)
	require.Equal(t, uint64(math.MaxUint64), n, "a file system that cannot tell counts as empty")

	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,nr_inodes=100"); err != nil {
		t.Skipf("NOT TRIED: this test mounts a small file system, for which it needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	s := mustOpen(t, Options{Dir: filepath.Join(dir, "data")})
	before, err := s.FreeFiles()
	require.NoError(t, err)
	require.Less(t, before, uint64(100))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o600))
	after, err := s.FreeFiles()
	require.NoError(t, err)
	require.Equal(t, before-1, after)
}

// lockless is a file system that does not lock files.
type lockless struct {
	vfs.FS
	err error
}

func (l lockless) Lock(string) (io.Closer, error) { return nil, l.err }

// A file system without locks is refused as that, and not for another agent that would use the directory.
func TestOpenWithoutLocks(t *testing.T) {
	for _, err := range []error{syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EINVAL} {
		_, got := Open(small(lockless{vfs.NewMem(), err}))
		require.ErrorIs(t, got, err)
		require.ErrorContains(t, got, "does not lock files")
		require.NotErrorIs(t, got, errInUse)
	}
	_, got := Open(small(lockless{vfs.NewMem(), errors.Join(syscall.EAGAIN)}))
	require.ErrorIs(t, got, errInUse)
}

func TestFileSystemType(t *testing.T) {
	require.Equal(t, "type 0x9fa0", fileSystemType("/proc"), "one that nobody puts data on has a number")
	require.Equal(t, "unknown", fileSystemType("/proc/no such"))
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("NOT TRIED: this test mounts a small file system, for which it needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	require.Equal(t, "tmpfs", fileSystemType(dir))
}
