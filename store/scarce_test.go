package store

import (
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// scarceFS has no descriptors for the next few opens.
type scarceFS struct {
	vfs.FS
	missing int
}

func (f *scarceFS) lacks() bool {
	f.missing--
	return f.missing >= 0
}

func (f *scarceFS) OpenDir(name string) (vfs.File, error) {
	if f.lacks() {
		return nil, syscall.EMFILE
	}
	return f.FS.OpenDir(name)
}

func (f *scarceFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.lacks() {
		return nil, syscall.EMFILE
	}
	return f.FS.Create(name, c)
}

// A store that has no descriptor for a directory to be synced, or for a new file, waits for one; it has not
// failed.
func TestOpensWaitForDescriptors(t *testing.T) {
	fs := &scarceFS{FS: vfs.NewMem()}
	require.NoError(t, fs.MkdirAll("d", 0o700))
	fs.missing = 3
	require.NoError(t, syncDir(fs, "d"))

	d := &disk{FS: fs, fault: &fault{}}
	fs.missing = 3
	f, err := d.Create("d/log", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.False(t, d.fault.failed())
}
