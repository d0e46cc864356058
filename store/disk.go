package store

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system that Pebble sees. It makes the first failure of a write final.
//
// What Pebble itself does with a failed write does not suit a broker: a failed fsync of the log is passed to
// Logger.Fatalf and, if that returns, the commit reports success; a log that cannot be closed or created
// causes a panic with a mutex in a state that kills the process without a message; a failed flush is retried
// at once and indefinitely, even inside Open. Therefore Pebble never sees a failed write. The first one is
// recorded in fault, which tells the owner, and from then on the file system is frozen: operations that would
// change it report success and do nothing. No commit is acknowledged because of that, since Commit checks the
// fault after Pebble has returned; and recovery finds what the disk held at the failure.
//
// Flushes and compactions of a failed store wait until Close, so that Pebble does not continue and read
// tables that were never written; unless a commit waits for them.
type disk struct {
	vfs.FS // reads pass through
	fault  *fault
}

// absorb records an error of a change, which freezes the store, and returns nil.
func (d *disk) absorb(op, name string, err error) error {
	if err != nil {
		d.fault.fail(fmt.Errorf("%s %s: %w", op, name, err))
	}
	if d.fault.failed() {
		d.holdTables(name)
	}
	return nil
}

// holdTables blocks work on tables, which Pebble only does in the background: see fault.hold.
func (d *disk) holdTables(name string) {
	if strings.HasSuffix(name, ".sst") {
		d.fault.hold()
	}
}

// change carries out one change, unless the store is frozen.
func (d *disk) change(op, name string, do func() error) error {
	if d.fault.failed() {
		return d.absorb(op, name, nil)
	}
	return d.absorb(op, name, do())
}

// openWith opens a file for writing. In a frozen store the file discards everything.
func (d *disk) openWith(op, name string, do func() (vfs.File, error)) *diskFile {
	opened := &diskFile{File: discardFile{}, disk: d, name: name}
	_ = d.change(op, name, func() error {
		return retryWhileScarce(func() error {
			f, err := do()
			if err == nil {
				opened.File = f
			}
			return err
		})
	})
	return opened
}

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f := d.openWith("create", name, func() (vfs.File, error) { return d.FS.Create(name, c) })
	f.unnamed = strings.HasPrefix(d.PathBase(name), "MANIFEST-")
	return f, nil
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.openWith("open", name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) }), nil
}

// OpenDir implements vfs.FS. Pebble opens directories only to sync them.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.openWith("open", name, func() (vfs.File, error) { return d.FS.OpenDir(name) }), nil
}

// ReuseForWrite implements vfs.FS. Pebble reuses old logs, because an fsync is cheaper when existing blocks are
// overwritten. This does what vfs.Default does; the implementation of vfs.MemFS deadlocks if CrashClone is called
// meanwhile.
func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	renamed := false
	return d.openWith("reuse as", newname, func() (vfs.File, error) {
		if !renamed {
			if err := d.FS.Rename(oldname, newname); err != nil {
				return nil, err
			}
			renamed = true
		}
		return d.FS.OpenReadWrite(newname, c)
	}), nil
}

// Rename implements vfs.FS.
func (d *disk) Rename(oldname, newname string) error {
	return d.change("rename to", newname, func() error { return d.FS.Rename(oldname, newname) })
}

// Link implements vfs.FS.
func (d *disk) Link(oldname, newname string) error {
	return d.change("link to", newname, func() error { return d.FS.Link(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (d *disk) MkdirAll(name string, perm os.FileMode) error {
	return d.change("make directory", name, func() error { return d.FS.MkdirAll(name, perm) })
}

// Remove implements vfs.FS. Failing to remove a file is not a failure of the store: Pebble tries again at its
// next start.
func (d *disk) Remove(name string) error {
	if d.fault.failed() {
		return nil
	}
	return d.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (d *disk) RemoveAll(name string) error {
	if d.fault.failed() {
		return nil
	}
	return d.FS.RemoveAll(name)
}

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file to which Pebble writes.
type diskFile struct {
	vfs.File
	disk    *disk
	name    string
	unnamed bool // a manifest whose name is not yet durable
}

func (f *diskFile) change(op string, do func() error) error { return f.disk.change(op, f.name, do) }

// Write implements vfs.File.
func (f *diskFile) Write(p []byte) (int, error) {
	return len(p), f.change("write", func() error { _, err := f.File.Write(p); return err })
}

// WriteAt implements vfs.File.
func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	return len(p), f.change("write", func() error { _, err := f.File.WriteAt(p, off); return err })
}

// Sync implements vfs.File. A new manifest's name is made durable together with its first content. Pebble
// syncs the directory only after it has written the marker that points to the manifest. On a file system that
// may keep a later name and lose an earlier one, a power failure between the two would leave a database that
// cannot be opened.
func (f *diskFile) Sync() error {
	return f.change("fsync", func() error {
		if err := f.File.Sync(); err != nil || !f.unnamed {
			return err
		}
		f.unnamed = false
		return syncDir(f.disk.FS, f.disk.PathDir(f.name))
	})
}

// SyncData implements vfs.File.
func (f *diskFile) SyncData() error { return f.change("fsync", f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.change("fsync", func() (e error) { full, e = f.File.SyncTo(length); return e })
	return full, err
}

// Stat implements vfs.File.
func (f *diskFile) Stat() (info vfs.FileInfo, err error) {
	_ = f.change("stat", func() (e error) { info, e = f.File.Stat(); return e })
	if info == nil {
		info, err = discardFile{}.Stat()
	}
	return info, err
}

// Close implements vfs.File. It closes the files of a frozen store, too, so that no descriptors leak.
func (f *diskFile) Close() error { return f.disk.absorb("close", f.name, f.File.Close()) }

// discardFile is a file that was opened after the disk failed. It accepts everything and keeps nothing.
type discardFile struct{}

func (discardFile) Close() error                            { return nil }
func (discardFile) Read([]byte) (int, error)                { return 0, io.EOF }
func (discardFile) ReadAt([]byte, int64) (int, error)       { return 0, io.EOF }
func (discardFile) Write(p []byte) (int, error)             { return len(p), nil }
func (discardFile) WriteAt(p []byte, _ int64) (int, error)  { return len(p), nil }
func (discardFile) Preallocate(int64, int64) error          { return nil }
func (discardFile) Stat() (vfs.FileInfo, error)             { return discardInfo{}, nil }
func (discardFile) Sync() error                             { return nil }
func (discardFile) SyncTo(int64) (fullSync bool, err error) { return true, nil }
func (discardFile) SyncData() error                         { return nil }
func (discardFile) Prefetch(int64, int64) error             { return nil }
func (discardFile) Fd() uintptr                             { return vfs.InvalidFd }

// discardInfo describes a discardFile, which is empty.
type discardInfo struct{}

func (discardInfo) Name() string           { return "" }
func (discardInfo) Size() int64            { return 0 }
func (discardInfo) Mode() os.FileMode      { return 0 }
func (discardInfo) ModTime() time.Time     { return time.Time{} }
func (discardInfo) IsDir() bool            { return false }
func (discardInfo) Sys() any               { return nil }
func (discardInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
