package store

import (
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
