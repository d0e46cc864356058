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
	"golang.org/x/sys/unix"
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

// What can't be mounted here has its name all the same.
func TestNamesOfFileSystems(t *testing.T) {
	mounts := []byte("22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" +
		"40 22 0:36 / /media/a\\040card rw - fuse.exfat /dev/sdb1 rw,user_id=0\n" +
		"41 22 0:37 / /srv rw shared:9 master:2 - nfs4 10.0.0.1:/srv rw,vers=4.2\n" +
		"damaged\n")
	require.Equal(t, "ext4", typeInMounts(mounts, unix.Mkdev(8, 1)))
	require.Equal(t, "fuse.exfat", typeInMounts(mounts, unix.Mkdev(0, 36)))
	require.Equal(t, "nfs4", typeInMounts(mounts, unix.Mkdev(0, 37)))
	require.Empty(t, typeInMounts(mounts, unix.Mkdev(0, 38)), "a subvolume has a number of its own")
	require.Empty(t, typeInMounts(nil, unix.Mkdev(8, 1)))
	for number, name := range map[int64]string{0x6969: "nfs", 0x4d44: "vfat", 0x2011bab0: "exfat", 0x65735546: "fuse", 0x9123683e: "btrfs", 0x9fa0: "type 0x9fa0"} {
		require.Equal(t, name, typeByNumber(number))
	}
}

func TestFileSystemType(t *testing.T) {
	require.Equal(t, "proc", fileSystemType("/proc"))
	require.Equal(t, "unknown", fileSystemType("/proc/no such"))
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("NOT TRIED: this test mounts a small file system, for which it needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	require.Equal(t, "tmpfs", fileSystemType(dir))
}
