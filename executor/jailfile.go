package executor

import (
	"io"
	"os"
	"path"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// jailFile is an open file or directory of a jail. A wasm job has one thread, so it needs no lock.
type jailFile struct {
	experimentalsys.UnimplementedFile
	root   *os.Root
	name   string
	f      *os.File
	append bool
	info   os.FileInfo // the first stat: device, inode and type do not change
}

func (f *jailFile) known() (sys.Stat_t, experimentalsys.Errno) {
	if f.info == nil {
		info, err := f.f.Stat()
		if err != nil {
			return sys.Stat_t{}, errnoOf(err)
		}
		f.info = info
	}
	return sys.NewStat_t(f.info), 0
}

// Dev implements sys.File.
func (f *jailFile) Dev() (uint64, experimentalsys.Errno) {
	st, errno := f.known()
	return st.Dev, errno
}

// Ino implements sys.File.
func (f *jailFile) Ino() (sys.Inode, experimentalsys.Errno) {
	st, errno := f.known()
	return st.Ino, errno
}

// IsDir implements sys.File.
func (f *jailFile) IsDir() (bool, experimentalsys.Errno) {
	st, errno := f.known()
	return st.Mode.IsDir(), errno
}

// IsAppend implements sys.File.
func (f *jailFile) IsAppend() bool { return f.append }

// SetAppend implements sys.File.
func (f *jailFile) SetAppend(on bool) experimentalsys.Errno {
	f.append = on
	return 0
}

// Stat implements sys.File.
func (f *jailFile) Stat() (sys.Stat_t, experimentalsys.Errno) {
	info, err := f.f.Stat()
	if err != nil {
		return sys.Stat_t{}, errnoOf(err)
	}
	return sys.NewStat_t(info), 0
}

// Read implements sys.File; no bytes and no error mean the end of the file.
func (f *jailFile) Read(p []byte) (int, experimentalsys.Errno) {
	n, err := f.f.Read(p)
	return n, f.fileErrno(err)
}

// Pread implements sys.File.
func (f *jailFile) Pread(p []byte, off int64) (int, experimentalsys.Errno) {
	n, err := f.f.ReadAt(p, off)
	return n, f.fileErrno(err)
}

// Write implements sys.File.
func (f *jailFile) Write(p []byte) (int, experimentalsys.Errno) {
	if f.append {
		if _, err := f.f.Seek(0, io.SeekEnd); err != nil {
			return 0, f.fileErrno(err)
		}
	}
	n, err := f.f.Write(p)
	return n, f.fileErrno(err)
}

// Pwrite implements sys.File.
func (f *jailFile) Pwrite(p []byte, off int64) (int, experimentalsys.Errno) {
	n, err := f.f.WriteAt(p, off)
	return n, f.fileErrno(err)
}

// fileOffset is an alias of int64: go vet wants every Seek(int64, int) to have io.Seeker's results, but wazero's
// returns an Errno.
type fileOffset = int64

// Seek implements sys.File. A directory can only be rewound, by seeking to its start.
func (f *jailFile) Seek(offset fileOffset, whence int) (int64, experimentalsys.Errno) {
	if isDir, errno := f.IsDir(); errno != 0 {
		return 0, errno
	} else if isDir && (offset != 0 || whence != io.SeekStart) {
		return 0, experimentalsys.EISDIR
	}
	if whence < io.SeekStart || whence > io.SeekEnd {
		return 0, experimentalsys.EINVAL
	}
	n, err := f.f.Seek(offset, whence)
	return n, errnoOf(err)
}

// Readdir implements sys.File. Inodes are looked up through the jail as well.
func (f *jailFile) Readdir(n int) ([]experimentalsys.Dirent, experimentalsys.Errno) {
	if isDir, errno := f.IsDir(); errno != 0 {
		return nil, errno
	} else if !isDir {
		return nil, experimentalsys.EBADF
	}
	entries, err := f.f.ReadDir(n)
	if err != nil && err != io.EOF {
		return nil, errnoOf(err)
	}
	out := make([]experimentalsys.Dirent, 0, len(entries))
	for _, e := range entries {
		d := experimentalsys.Dirent{Name: e.Name(), Type: e.Type()}
		if info, err := f.root.Lstat(path.Join(f.name, e.Name())); err == nil {
			d.Ino = sys.NewStat_t(info).Ino
		}
		out = append(out, d)
	}
	return out, 0
}

// Truncate implements sys.File.
func (f *jailFile) Truncate(size int64) experimentalsys.Errno {
	if size < 0 {
		return experimentalsys.EINVAL
	}
	return f.fileErrno(f.f.Truncate(size))
}

// Sync implements sys.File. It does nothing: a job's directory does not outlive the job, and its outputs are
// synced when they are stored.
func (f *jailFile) Sync() experimentalsys.Errno { return 0 }

// Datasync implements sys.File; see Sync.
func (f *jailFile) Datasync() experimentalsys.Errno { return 0 }

// Utimens implements sys.File.
func (f *jailFile) Utimens(atim, mtim int64) experimentalsys.Errno {
	return errnoOf(chtimes(f.root, f.name, atim, mtim))
}

// Close implements sys.File; a second call is harmless.
func (f *jailFile) Close() experimentalsys.Errno {
	_ = f.f.Close()
	return 0
}

// fileErrno returns EISDIR where the operating system reports another error for reading or writing a directory.
func (f *jailFile) fileErrno(err error) experimentalsys.Errno {
	if err == nil || err == io.EOF {
		return 0
	}
	if isDir, _ := f.IsDir(); isDir {
		return experimentalsys.EISDIR
	}
	return errnoOf(err)
}
