package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// enter puts the calling thread, which must be locked and never let go, and all that it starts into the jail. own are the
// directories of the job, its own and one for temporary files; files are what else it may read; memory is how
// many bytes it may have.
//
// The order matters: mounts need rights that are dropped then, rules are made of what the new mounts show, and the filter of
// system calls refuses what all this takes.
func (j *jail) enter(own []string, files []string, memory int64) error {
	if j.Namespaces {
		if err := (&view{jail: j, own: own, files: files, memory: memory}).enter(); err != nil {
			return err
		}
	}
	if err := dropPrivileges(); err != nil {
		return err
	}
	if j.Landlock > 0 {
		if err := j.enterDomain(own, files); err != nil {
			return err
		}
	}
	if !j.Seccomp {
		return nil
	}
	return j.filter().install()
}

func (j *jail) filter() filter {
	return filter{
		network: j.Network, unixSockets: j.Namespaces, apart: j.Namespaces, traced: j.Landlock > 0,
		counted: j.Counted, cloneThree: j.Namespaces || j.IntoGroup,
	}
}

// dropPrivileges sees to it that no program that this thread starts has a capability, or gets one.
func dropPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) // before Linux 4.3 there are none
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	for c := uintptr(0); c < 64; c++ { // who may not drop one has none to give either
		if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			break
		}
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	return nil
}

// enterDomain enters a Landlock domain in which a program has what it needs of the file system.
func (j *jail) enterDomain(own, files []string) error {
	d, err := newDomain(j.Landlock, j.Network)
	if err != nil {
		return err
	}
	defer d.close()
	rights := map[string]uint64{"/proc": readRights &^ unix.LANDLOCK_ACCESS_FS_EXECUTE}
	if j.Namespaces {
		for _, dir := range append([]string{sharedMemory}, temporary...) {
			rights[dir] = readRights | writeRights
		}
	}
	for _, path := range slices.Concat(systemPaths, j.Read, files) {
		rights[path] |= readRights
	}
	for _, path := range slices.Concat(j.Write, own) {
		rights[path] |= readRights | writeRights
	}
	for _, path := range slices.Concat(systemDevices, j.Devices) {
		rights[path] |= deviceRights
	}
	for path, r := range rights {
		if err := d.allow(path, r); err != nil {
			return err
		}
	}
	return d.enter()
}

// view is what a program sees of the file system: all that its machine has, read-only, but without the directories of other jobs,
// of the broker, of sockets and of temporary files.
type view struct {
	*jail
	own, files []string
	memory     int64
	covers     []string // the directories on which something else is mounted, none beneath another
}

const sharedMemory = "/dev/shm"

// temporary are directories in which programs write that look at no TMPDIR. A job finds its own there.
var temporary = []string{"/tmp", "/var/tmp"}

// shown is a file or directory that stays visible where something is mounted above it.
type shown struct {
	path  string
	fd    int
	dir   bool
	write bool
}

// enter gives the calling thread a view of its own.
func (v *view) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWIPC); err != nil {
		return fmt.Errorf("making namespaces: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	v.covers = v.toCover()
	show := v.open()
	defer func() {
		for _, s := range show {
			_ = unix.Close(s.fd)
		}
	}()
	over, err := v.cover(show)
	if err != nil {
		return err
	}
	if err := unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}); err != nil && err != unix.ENOSYS {
		return fmt.Errorf("making mounts read-only: %w", err) // before Linux 5.12 Landlock alone does that
	}
	for _, path := range over {
		if err := unix.MountSetattr(-1, path, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}); err != nil && err != unix.ENOSYS {
			return fmt.Errorf("making %s writable: %w", path, err)
		}
	}
	// To the kernel this is a change of root, in which nobody makes a namespace of users, in whatever way. It changes nothing else: paths
	// begin below what is mounted on the root.
	return mountMemory("/", "mode=0,size=4k")
}

// open opens what stays visible.
func (v *view) open() (out []shown) {
	open := func(paths []string, write bool) {
		for _, path := range paths {
			var st unix.Stat_t
			fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				continue // what is not there is not to be seen
			}
			if unix.Fstat(fd, &st) != nil {
				_ = unix.Close(fd)
				continue
			}
			out = append(out, shown{path, fd, st.Mode&unix.S_IFMT == unix.S_IFDIR, write})
		}
	}
	open(v.own, true)
	open(v.Write, true)
	open(slices.DeleteFunc(slices.Concat(v.Read, v.files), func(p string) bool { return !v.covered(p) }), false)
	return out
}

// toCover returns what covers is to be.
func (v *view) toCover() (out []string) {
	out = append(out, temporary...)
	add := func(dir string) {
		if dir != "" && !slices.ContainsFunc(out, func(o string) bool { return beneath(dir, o) }) {
			out = append(slices.DeleteFunc(out, func(o string) bool { return beneath(o, dir) }), dir)
		}
	}
	if !v.Network {
		add("/run")
	}
	if add(v.Hide); v.Hide != "" && !slices.Contains(out, v.Hide) && v.inTemporary(v.Hide) {
		out = append(out, v.Hide) // what is above it is the job's own
	}
	if v.User != 0 {
		for _, path := range slices.Concat(v.own, v.Write, v.Read, v.files) {
			add(closedDirectory(path))
		}
	}
	return out
}

// inTemporary reports whether a path lies in a directory for temporary files.
func (v *view) inTemporary(path string) bool {
	return slices.ContainsFunc(temporary, func(dir string) bool { return beneath(path, dir) })
}

// covered reports whether a path can't be seen any more where something is mounted.
func (v *view) covered(path string) bool {
	return slices.ContainsFunc(v.covers, func(dir string) bool { return beneath(path, dir) })
}

// closedDirectory returns the highest directory on the way to a path that not every user may enter; "" if there is none.
func closedDirectory(path string) (closed string) {
	for path != "/" {
		path = filepath.Dir(path)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o001 == 0 {
			closed = path
		}
	}
	return closed
}

// cover mounts, and returns what is to be writable.
func (v *view) cover(show []shown) (writable []string, err error) {
	scratch := slices.IndexFunc(show, func(s shown) bool { return s.path == v.own[len(v.own)-1] })
	if scratch < 0 {
		return nil, fmt.Errorf("opening %s: %w", v.own[len(v.own)-1], fs.ErrNotExist)
	}
	for _, dir := range v.covers {
		if !isDirectory(dir) {
			if dir != v.Hide {
				continue
			}
			if err := makeWay(dir); err != nil {
				return nil, fmt.Errorf("hiding %s: %w", dir, err)
			}
		}
		if slices.Contains(temporary, dir) {
			err = show[scratch].bind(dir)
			writable = append(writable, dir)
		} else {
			err = mountMemory(dir, "mode=0755,size=256k")
		}
		if err != nil {
			return nil, err
		}
	}
	if isDirectory(sharedMemory) {
		if err := mountMemory(sharedMemory, fmt.Sprintf("mode=1777,size=%d", max(v.memory, 1<<20))); err != nil {
			return nil, err
		}
		writable = append(writable, sharedMemory)
	}
	for _, s := range show {
		if !s.write && !v.covered(s.path) {
			continue
		}
		if err := s.place(); err != nil {
			return nil, err
		}
		if s.write {
			writable = append(writable, s.path)
		}
	}
	return writable, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func mountMemory(dir, options string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("covering %s: %w", dir, err)
	}
	return nil
}

// place shows it at its path, which may have to be made.
func (s shown) place() error {
	err := makeWay(filepath.Dir(s.path))
	if err == nil && s.dir {
		err = makeWay(s.path)
	} else if err == nil {
		var f *os.File
		if f, err = os.OpenFile(s.path, os.O_CREATE|os.O_RDONLY, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) { // it is there, if others can't read it
		return fmt.Errorf("showing %s: %w", s.path, err)
	}
	return s.bind(s.path)
}

// makeWay makes a directory that every user may enter, with those above it, as far as they are missing.
func makeWay(dir string) error {
	if isDirectory(dir) {
		return nil
	}
	if err := makeWay(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) // whatever the umask is
}

// bind shows it elsewhere.
func (s shown) bind(path string) error {
	if err := unix.Mount(fmt.Sprintf("/proc/thread-self/fd/%d", s.fd), path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("showing %s at %s: %w", s.path, path, err)
	}
	return nil
}

// apart reports whether this process is the first one of a namespace of processes.
func apart() bool { return os.Getpid() == 1 }

// settleApart gives this process, the first one of its namespaces, a /proc of its own.
func settleApart() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return nil
}

// explore finds out what this worker can do to confine programs that run in dir.
func explore(dir, hide string, of UIDRange) (a abilities) {
	a.Landlock, a.NoLandlock = landlockVersion()
	if err := onLostThread(func() error {
		if err := dropPrivileges(); err != nil {
			return err
		}
		return filter{}.install()
	}); err != nil {
		a.NoSeccomp = err.Error()
	} else {
		a.Seccomp = true
	}
	if !apart() {
		a.NoSpaces = "this worker has none"
	} else if err := tryView(filepath.Join(dir, "explore"), hide); err != nil {
		a.NoSpaces = err.Error()
	} else {
		a.Namespaces = true
	}
	switch {
	case os.Geteuid() != 0:
		a.NoUsers = "this broker is not root"
	case !of.mapped():
		a.NoUsers = fmt.Sprintf("this user namespace has no users %d to %d; name others by --job-uids", of.First, of.First+of.Count-1)
	case !mayBecome():
		a.NoUsers = "this broker lacks the capability setuid, setgid, chown or kill"
	case !a.Namespaces && !othersMayEnter(filepath.Join(dir, "1")):
		a.NoUsers = "other users may not enter " + dir
	default:
		a.Users = true
	}
	return a
}

// tryView tries whether a program can have a view of its own, as a job with this directory would.
func tryView(dir, hide string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return onLostThread(func() error { return (&view{jail: &jail{Hide: hide}, own: []string{dir}}).enter() })
}

// mayBecome reports whether this process may run programs as other users.
func mayBecome() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if unix.Capget(&header, &sets[0]) != nil {
		return false
	}
	const needed = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL
	return sets[0].Effective&needed == needed
}

// groupsOf returns the groups of files.
func groupsOf(paths []string) (out []int) {
	for _, path := range paths {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Gid != 0 && !slices.Contains(out, int(st.Gid)) {
			out = append(out, int(st.Gid))
		}
	}
	return out
}
