package executor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fencedPaths are what a worker reads beside the files of its broker: what the Go runtime asks for, and the C library, if this
// program needs it.
var fencedPaths = []string{
	"/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage", "/dev/null", "/dev/urandom",
	"/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/share/zoneinfo", "/nix/store", "/gnu/store",
	"/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime",
}

// enter puts the calling thread, which must be locked and never let go, and all that it starts behind the fence.
func (f *fence) enter() error {
	if err := dropPrivileges(); err != nil || f.Landlock == 0 {
		return err
	}
	d, err := newDomain(f.Landlock, false)
	if err != nil {
		return err
	}
	defer d.close()
	self, err := os.Open(thisProgram) // which may have no path any more
	if err != nil {
		return fmt.Errorf("opening this program: %w", err)
	}
	defer self.Close()
	if err := d.allowFile(int(self.Fd()), thisProgram, readRights); err != nil {
		return err
	}
	for rights, paths := range map[uint64][]string{readRights: append(fencedPaths, f.Read...), readRights | writeRights: f.Write} {
		for _, path := range paths {
			if err := d.allow(path, rights); err != nil {
				return err
			}
		}
	}
	return d.enter()
}

// exploreHere finds out what workers of modules can be confined by. It tries it on a thread of its own.
func exploreHere() (a abilities) {
	a.Landlock, a.NoLandlock = landlockVersion()
	if err := onLostThread(func() error {
		if err := dropPrivileges(); err != nil {
			return err
		}
		return filter{modules: true}.installHere()
	}); err != nil {
		a.NoSeccomp = err.Error()
	} else {
		a.Seccomp = true
	}
	return a
}

// filterModules puts the filter of system calls around this worker of modules.
func filterModules() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil { // it is set, unless there is no fence
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	return filter{modules: true}.install()
}

// killedFirst has the kernel end a worker of modules, rather than its broker, when memory runs out. The worker can't say so
// itself: it may not write to /proc.
func killedFirst(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(oomScore), 0)
}
