package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// lacking is a file system that can't do some things.
type lacking struct {
	vfs.FS
	rename, syncDir, remove error
}

func (l lacking) Rename(from, to string) error {
	if strings.Contains(from, "probe") {
		if l.rename != nil {
			return l.rename
		}
	}
	return l.FS.Rename(from, to)
}

func (l lacking) OpenDir(name string) (vfs.File, error) {
	if l.syncDir != nil && strings.HasSuffix(name, "probe") {
		return nil, l.syncDir
	}
	return l.FS.OpenDir(name)
}

func (l lacking) RemoveAll(name string) error {
	if l.remove != nil && strings.HasSuffix(name, "d") {
		return l.remove
	}
	return l.FS.RemoveAll(name)
}

// A file system is refused by what it can't do, all of it in one sentence; an error of the moment is no lack.
func TestOpenSaysWhatAFileSystemLacks(t *testing.T) {
	_, err := Open(small(lacking{FS: vfs.NewMem(), rename: syscall.EEXIST}))
	require.ErrorIs(t, err, syscall.EEXIST)
	require.ErrorContains(t, err, "can't rename a file over another one (")
	_, err = Open(small(lacking{FS: vfs.NewMem(), syncDir: syscall.EINVAL, remove: syscall.EPERM}))
	require.ErrorContains(t, err, "can't sync a directory, remove a directory with what is in it (")
	require.ErrorContains(t, err, "choose a directory on a local disk")
	for _, now := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		_, err = Open(small(lacking{FS: vfs.NewMem(), rename: now}))
		require.ErrorIs(t, err, now)
		require.ErrorContains(t, err, "trying what the file system")
		require.NotContains(t, err.Error(), "can't rename")
	}
	fsys := vfs.NewMem()
	s, err := Open(small(fsys))
	require.NoError(t, err)
	defer s.Close()
	_, err = fsys.Stat(fsys.PathJoin(s.opts.Dir, "probe"))
	require.ErrorIs(t, err, os.ErrNotExist, "nothing of it stays")
}

// mounted mounts a file system for a test, or says loudly that it was not tried.
func mounted(t *testing.T, source, kind, data string) (dir string) {
	dir = t.TempDir()
	if err := syscall.Mount(source, dir, kind, 0, data); err != nil {
		t.Skipf("NOT TRIED: mounting %s, for which this test needs root and a kernel that has it: %v", kind, err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// opens says whether a store opens in a directory, keeps what is committed, and opens again.
func opens(t *testing.T, dir string) error {
	o := Options{Dir: filepath.Join(dir, "data")}
	s, err := Open(o)
	if err != nil {
		return err
	}
	var b Batch
	b.setOwn([]byte{reserved, 'x'}, []byte("kept"))
	require.NoError(t, s.Commit(&b))
	require.NoError(t, s.Close())
	s, err = Open(o)
	require.NoError(t, err)
	value, found, err := s.get([]byte{reserved, 'x'})
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "kept", string(value))
	return s.Close()
}

// Data directories on what people mount: each opens, or is refused by its name.
func TestOpenOnFileSystems(t *testing.T) {
	t.Run("tmpfs", func(t *testing.T) {
		require.NoError(t, opens(t, mounted(t, "tmpfs", "tmpfs", "size=64m")))
	})
	t.Run("overlay", func(t *testing.T) {
		base := mounted(t, "tmpfs", "tmpfs", "size=64m") // an overlay over an overlay is refused
		for _, d := range []string{"lower", "upper", "work"} {
			require.NoError(t, os.Mkdir(filepath.Join(base, d), 0o700))
		}
		require.NoError(t, opens(t, mounted(t, "overlay", "overlay",
			"lowerdir="+filepath.Join(base, "lower")+",upperdir="+filepath.Join(base, "upper")+",workdir="+filepath.Join(base, "work"))))
	})
	t.Run("read-only", func(t *testing.T) {
		dir := mounted(t, "tmpfs", "tmpfs", "size=64m")
		require.NoError(t, opens(t, dir))
		require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		require.ErrorIs(t, opens(t, dir), syscall.EROFS)
	})
	t.Run("proc", func(t *testing.T) {
		err := probe(vfs.Default, "/proc")
		require.Error(t, err)
		require.False(t, errors.Is(err, syscall.ENOSPC))
	})
	for _, kind := range []string{"vfat", "exfat"} {
		t.Run(kind, func(t *testing.T) { refusedOrOpens(t, kind) })
	}
	t.Run("nfs", func(t *testing.T) {
		known, err := os.ReadFile("/proc/filesystems")
		if err != nil || !strings.Contains(string(known), "\tnfs") {
			t.Skip("NOT TRIED: this kernel has no nfs")
		}
		server := os.Getenv("UCP_NFS") // HOST:PATH of an export that this machine may mount
		if server == "" {
			t.Skip("NOT TRIED: UCP_NFS names no export")
		}
		dir := mounted(t, server, "nfs", "addr="+strings.SplitN(server, ":", 2)[0])
		if err := opens(t, dir); err != nil {
			require.ErrorContains(t, err, "(nfs)")
		}
	})
}

// refusedOrOpens makes a file system of a kind in a file, mounts it and tries a store on it.
func refusedOrOpens(t *testing.T, kind string) {
	for _, tool := range []string{"mkfs." + kind, "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TRIED: %v", err)
		}
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 64<<20))
	out, err := exec.Command("mkfs."+kind, image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	if out, err := exec.Command("mount", "-t", kind, "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("NOT TRIED: mounting %s, for which this test needs root and a kernel that has it: %v: %s", kind, err, strings.TrimSpace(string(out)))
	}
	defer func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) }()
	if err := opens(t, dir); err != nil {
		require.ErrorContains(t, err, "("+kind+") can't", "it is refused by its name")
	}
}
