package store

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk stands between Pebble and the file system and makes a failure final.
//
// What Pebble itself does with a failed write does not suit a broker: a failed
// fsync of the log reaches Logger.Fatalf and, if that returns, the commit reports
// success; a log that cannot be closed or created panics with a mutex in a state
// that kills the process without a word; a failed flush is tried again at once,
// for ever, also inside Open. So Pebble never sees a failed write. The first one is
// recorded in fault, which tells the owner, and from then on the file system is
// frozen: whatever changes it is answered with success and not carried out. No
// commit can be acknowledged by that lie, because Commit looks at the fault after
// Pebble has answered; and what the disk held at the failure is what recovery finds.
//
// Flushes and compactions of a failed store wait until Close, so that Pebble does
// not go on to read tables that were never written; unless a commit waits for them.
type disk struct {
	vfs.FS // reads pass through
	fault  *fault
}

// tolerate turns the error of a change into the freeze, and answers success.
func (d *disk) tolerate(op, name string, err error) error {
	if err != nil {
		d.fault.fail(fmt.Errorf("%s %s: %w", op, name, err))
	}
	if d.fault.failed() {
		d.wait(name)
	}
	return nil
}

// wait blocks work on tables, all of it Pebble's in the background: see fault.hold.
func (d *disk) wait(name string) {
	if strings.HasSuffix(name, ".sst") {
		d.fault.hold()
	}
}

// change carries out one change of the name space, unless frozen.
func (d *disk) change(op, name string, do func() error) error {
	if d.fault.failed() {
		return d.tolerate(op, name, nil)
	}
	return d.tolerate(op, name, do())
}

// openWith opens a file for writing, or in a frozen store one that is nowhere.
func (d *disk) openWith(op, name string, do func() (vfs.File, error)) *diskFile {
	opened := &diskFile{File: lostFile{}, disk: d, name: name}
	_ = d.change(op, name, func() error {
		return patiently(func() error {
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

// ReuseForWrite implements vfs.FS: Pebble takes old logs again, since writing over
// blocks that are there makes an fsync cheaper. It is what the machine's file system
// does by itself; that of vfs.MemFS locks itself up when CrashClone comes between.
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

// Remove implements vfs.FS. A file that cannot be removed is no loss: Pebble tries
// again at its next start.
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

// diskFile is a file that Pebble writes.
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

// Sync implements vfs.File. A new manifest's name is made durable with its first
// content. Pebble syncs the folder only after it has written the marker that points
// to the manifest; on a file system that may keep a later name and lose an earlier one,
// a power cut between the two would leave a database that cannot be opened.
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
		info, err = lostFile{}.Stat()
	}
	return info, err
}

// Close implements vfs.File. It closes a frozen store's files too: a descriptor is
// ours, not the disk's.
func (f *diskFile) Close() error { return f.disk.tolerate("close", f.name, f.File.Close()) }

// lostFile is a file that was opened after the disk failed: it takes everything
// and keeps nothing.
type lostFile struct{}

func (lostFile) Close() error                            { return nil }
func (lostFile) Read([]byte) (int, error)                { return 0, io.EOF }
func (lostFile) ReadAt([]byte, int64) (int, error)       { return 0, io.EOF }
func (lostFile) Write(p []byte) (int, error)             { return len(p), nil }
func (lostFile) WriteAt(p []byte, _ int64) (int, error)  { return len(p), nil }
func (lostFile) Preallocate(int64, int64) error          { return nil }
func (lostFile) Stat() (vfs.FileInfo, error)             { return lostInfo{}, nil }
func (lostFile) Sync() error                             { return nil }
func (lostFile) SyncTo(int64) (fullSync bool, err error) { return true, nil }
func (lostFile) SyncData() error                         { return nil }
func (lostFile) Prefetch(int64, int64) error             { return nil }
func (lostFile) Fd() uintptr                             { return vfs.InvalidFd }

// lostInfo describes a lostFile: empty.
type lostInfo struct{}

func (lostInfo) Name() string           { return "" }
func (lostInfo) Size() int64            { return 0 }
func (lostInfo) Mode() os.FileMode      { return 0 }
func (lostInfo) ModTime() time.Time     { return time.Time{} }
func (lostInfo) IsDir() bool            { return false }
func (lostInfo) Sys() any               { return nil }
func (lostInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
