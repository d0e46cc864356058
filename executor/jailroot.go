package executor

import (
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// jailRoot is the job's "/" as an open directory. Every Go program checks at its start that "/" is a directory.
// That can be answered without one on disk, so the directory is made only for a job that needs more of it.
type jailRoot struct {
	experimentalsys.UnimplementedFile
	j *jail
	f *jailFile
}

func (r *jailRoot) file() (*jailFile, experimentalsys.Errno) {
	if r.f == nil {
		f, errno := r.j.openDir(".")
		if errno != 0 {
			return nil, errno
		}
		r.f = f
	}
	return r.f, 0
}

// with calls f with the real directory, which it makes and opens first if necessary.
func with[T any](r *jailRoot, f func(*jailFile) (T, experimentalsys.Errno)) (T, experimentalsys.Errno) {
	file, errno := r.file()
	if errno != 0 {
		var none T
		return none, errno
	}
	return f(file)
}

// IsDir implements sys.File.
func (r *jailRoot) IsDir() (bool, experimentalsys.Errno) { return true, 0 }

// Dev implements sys.File.
func (r *jailRoot) Dev() (uint64, experimentalsys.Errno) { return with(r, (*jailFile).Dev) }

// Ino implements sys.File.
func (r *jailRoot) Ino() (sys.Inode, experimentalsys.Errno) { return with(r, (*jailFile).Ino) }

// Stat implements sys.File.
func (r *jailRoot) Stat() (sys.Stat_t, experimentalsys.Errno) { return with(r, (*jailFile).Stat) }

// Read implements sys.File.
func (r *jailRoot) Read([]byte) (int, experimentalsys.Errno) { return 0, experimentalsys.EISDIR }

// Write implements sys.File.
func (r *jailRoot) Write([]byte) (int, experimentalsys.Errno) { return 0, experimentalsys.EISDIR }

// Seek implements sys.File.
func (r *jailRoot) Seek(offset fileOffset, whence int) (int64, experimentalsys.Errno) {
	return with(r, func(f *jailFile) (int64, experimentalsys.Errno) { return f.Seek(offset, whence) })
}

// Readdir implements sys.File.
func (r *jailRoot) Readdir(n int) ([]experimentalsys.Dirent, experimentalsys.Errno) {
	return with(r, func(f *jailFile) ([]experimentalsys.Dirent, experimentalsys.Errno) { return f.Readdir(n) })
}

// Sync implements sys.File; see jailFile.Sync.
func (r *jailRoot) Sync() experimentalsys.Errno { return 0 }

// Datasync implements sys.File; see jailFile.Sync.
func (r *jailRoot) Datasync() experimentalsys.Errno { return 0 }

// Utimens implements sys.File.
func (r *jailRoot) Utimens(atim, mtim int64) experimentalsys.Errno {
	_, errno := with(r, func(f *jailFile) (struct{}, experimentalsys.Errno) { return struct{}{}, f.Utimens(atim, mtim) })
	return errno
}

// Close implements sys.File.
func (r *jailRoot) Close() experimentalsys.Errno {
	if r.f == nil {
		return 0
	}
	return r.f.Close()
}
