package executor

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// jail is the file system of a wasm job: its directory, accessed through os.Root. wazero's own directory mount
// joins strings and lets the operating system resolve the result, so a symbolic link made by the job leads out
// of it. os.Root resolves component by component and refuses every path that leaves the directory, however it
// is spelt and even if the directory changes meanwhile.
//
// The directory is made and opened when it is first used.
type jail struct {
	experimentalsys.UnimplementedFS
	open func() (*os.Root, error)
}

// local turns a guest path into a path for os.Root: relative and without trailing slashes, which mean "must be
// a directory".
func local(guest string) (name string, mustBeDir bool) {
	name = path.Clean(strings.Trim(guest, "/")) // "" is "."; "../x" stays, for os.Root to refuse
	return name, name != "." && strings.HasSuffix(guest, "/")
}

// errnoOf translates an error of os.Root. An error that is neither an errno nor one of package fs is os.Root's
// refusal to leave the directory.
func errnoOf(err error) experimentalsys.Errno {
	if err == nil {
		return 0
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return experimentalsys.UnwrapOSError(errno)
	}
	for _, known := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, fs.ErrClosed} {
		if errors.Is(err, known) {
			return experimentalsys.UnwrapOSError(known)
		}
	}
	return experimentalsys.EPERM
}

// in opens the jail and turns the guest path into a local path.
func (j *jail) in(guest string) (*os.Root, string, experimentalsys.Errno) {
	root, err := j.open()
	if err != nil {
		return nil, "", experimentalsys.ENOENT // wazero panics on any other for "."
	}
	name, _ := local(guest)
	return root, name, 0
}

// openDir opens a directory for reading.
func (j *jail) openDir(guest string) (*jailFile, experimentalsys.Errno) {
	root, name, errno := j.in(guest)
	if errno != 0 {
		return nil, errno
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, errnoOf(err)
	}
	return &jailFile{root: root, name: name, f: f}, 0
}

// OpenFile implements sys.FS.
func (j *jail) OpenFile(guest string, flag experimentalsys.Oflag, perm fs.FileMode) (experimentalsys.File, experimentalsys.Errno) {
	if name, _ := local(guest); name == "." && osFlags(flag) == os.O_RDONLY {
		return &jailRoot{j: j}, 0
	}
	root, name, errno := j.in(guest)
	if errno != 0 {
		return nil, errno
	}
	if flag&experimentalsys.O_NOFOLLOW != 0 {
		if st, err := root.Lstat(name); err == nil && st.Mode()&fs.ModeSymlink != 0 {
			return nil, experimentalsys.ELOOP
		}
	}
	f, err := root.OpenFile(name, osFlags(flag), perm.Perm())
	if err != nil {
		return nil, errnoOf(err)
	}
	file := &jailFile{root: root, name: name, f: f, append: flag&experimentalsys.O_APPEND != 0}
	_, wantDir := local(guest)
	if isDir, _ := file.IsDir(); (wantDir || flag&experimentalsys.O_DIRECTORY != 0) && !isDir {
		f.Close()
		return nil, experimentalsys.ENOTDIR
	}
	return file, 0
}

// osFlags leaves O_APPEND out: jailFile appends by itself, because os.File refuses WriteAt on a file that was
// opened with O_APPEND.
func osFlags(flag experimentalsys.Oflag) int {
	out := os.O_RDONLY
	switch {
	case flag&experimentalsys.O_RDWR != 0:
		out = os.O_RDWR
	case flag&experimentalsys.O_WRONLY != 0:
		out = os.O_WRONLY
	}
	for _, m := range [...]struct {
		from experimentalsys.Oflag
		to   int
	}{
		{experimentalsys.O_CREAT, os.O_CREATE},
		{experimentalsys.O_EXCL, os.O_EXCL},
		{experimentalsys.O_TRUNC, os.O_TRUNC},
	} {
		if flag&m.from != 0 {
			out |= m.to
		}
	}
	return out // O_SYNC and the like are pointless here: see jailFile.Sync
}

// Stat implements sys.FS.
func (j *jail) Stat(guest string) (sys.Stat_t, experimentalsys.Errno) {
	return j.stat(guest, (*os.Root).Stat)
}

// Lstat implements sys.FS.
func (j *jail) Lstat(guest string) (sys.Stat_t, experimentalsys.Errno) {
	if _, dir := local(guest); dir {
		return j.Stat(guest) // "link/" means what the link points to
	}
	return j.stat(guest, (*os.Root).Lstat)
}

func (j *jail) stat(guest string, stat func(*os.Root, string) (os.FileInfo, error)) (sys.Stat_t, experimentalsys.Errno) {
	root, name, errno := j.in(guest)
	if errno != 0 {
		return sys.Stat_t{}, errno
	}
	info, err := stat(root, name)
	if err != nil {
		return sys.Stat_t{}, errnoOf(err)
	}
	if _, dir := local(guest); dir && !info.IsDir() {
		return sys.Stat_t{}, experimentalsys.ENOTDIR
	}
	return sys.NewStat_t(info), 0
}

// Mkdir implements sys.FS.
func (j *jail) Mkdir(guest string, perm fs.FileMode) experimentalsys.Errno {
	return j.do(guest, func(root *os.Root, name string) error { return root.Mkdir(name, perm.Perm()) })
}

// Chmod implements sys.FS.
func (j *jail) Chmod(guest string, perm fs.FileMode) experimentalsys.Errno {
	return j.do(guest, func(root *os.Root, name string) error { return root.Chmod(name, perm.Perm()) })
}

// Rmdir implements sys.FS.
func (j *jail) Rmdir(guest string) experimentalsys.Errno {
	return j.do(guest, func(root *os.Root, name string) error { return remove(root, name, true) })
}

// Unlink implements sys.FS.
func (j *jail) Unlink(guest string) experimentalsys.Errno {
	if _, dir := local(guest); dir {
		return experimentalsys.ENOTDIR
	}
	return j.do(guest, func(root *os.Root, name string) error { return remove(root, name, false) })
}

// remove checks first whether name is a directory, because os.Root.Remove removes files and directories alike.
func remove(root *os.Root, name string, dir bool) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if dir && !info.IsDir() {
		return syscall.ENOTDIR
	}
	if !dir && info.IsDir() {
		return syscall.EISDIR
	}
	return root.Remove(name)
}

// Rename implements sys.FS.
func (j *jail) Rename(from, to string) experimentalsys.Errno {
	target, _ := local(to)
	return j.do(from, func(root *os.Root, name string) error { return root.Rename(name, target) })
}

// Link implements sys.FS.
func (j *jail) Link(from, to string) experimentalsys.Errno {
	target, _ := local(to)
	return j.do(from, func(root *os.Root, name string) error { return root.Link(name, target) })
}

// Symlink implements sys.FS. A link may have any relative target, because os.Root checks it when the link is
// followed.
func (j *jail) Symlink(target, link string) experimentalsys.Errno {
	if path.IsAbs(target) {
		return experimentalsys.EPERM
	}
	return j.do(link, func(root *os.Root, name string) error { return root.Symlink(target, name) })
}

// Readlink implements sys.FS.
func (j *jail) Readlink(guest string) (target string, errno experimentalsys.Errno) {
	errno = j.do(guest, func(root *os.Root, name string) (err error) {
		target, err = root.Readlink(name)
		return err
	})
	return target, errno
}

// Utimens implements sys.FS.
func (j *jail) Utimens(guest string, atim, mtim int64) experimentalsys.Errno {
	return j.do(guest, func(root *os.Root, name string) error { return chtimes(root, name, atim, mtim) })
}

// chtimes passes the zero time for a time that is to stay unchanged, as os.Root expects.
func chtimes(root *os.Root, name string, atim, mtim int64) error {
	at := func(ns int64) time.Time {
		if ns == experimentalsys.UTIME_OMIT {
			return time.Time{}
		}
		return time.Unix(0, ns)
	}
	return root.Chtimes(name, at(atim), at(mtim))
}

func (j *jail) do(guest string, f func(*os.Root, string) error) experimentalsys.Errno {
	root, name, errno := j.in(guest)
	if errno != 0 {
		return errno
	}
	return errnoOf(f(root, name))
}
