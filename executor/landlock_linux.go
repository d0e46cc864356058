package executor

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights of Landlock for files.
const (
	readRights  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeRights = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	deviceRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	// fileRights are those that make sense for what is no directory.
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// deviceFiles can't be made by a job anywhere.
	deviceFiles = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// landlockVersion returns the version of Landlock's interface, or 0 and why there is none.
func landlockVersion() (version int, why string) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch errno {
	case 0:
		return int(v), ""
	case unix.EOPNOTSUPP:
		return 0, "this kernel was booted without Landlock (its parameter lsm=)"
	case unix.ENOSYS:
		return 0, "this kernel has no Landlock, which needs Linux 5.13"
	}
	return 0, "Landlock: " + errno.Error()
}

// domain is a Landlock domain that is being made.
type domain struct {
	fd      int
	handled uint64 // rights for files that it takes from whom no rule gives them
}

// newDomain returns a domain that forbids all that this version of the interface knows. The network can be left out.
func newDomain(version int, network bool) (*domain, error) {
	handled := uint64(readRights|writeRights|deviceFiles) &^ (unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_TRUNCATE)
	rules := unix.LandlockRulesetAttr{}
	size := unsafe.Offsetof(rules.Handled_access_net)
	if version >= landlockRefer {
		handled |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		handled |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= landlockTCP {
		size = unsafe.Offsetof(rules.Scoped)
		if !network {
			rules.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}
	}
	if version >= landlockDevice {
		handled |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= landlockScope {
		size = unsafe.Offsetof(rules.Scoped) + unsafe.Sizeof(rules.Scoped)
		rules.Scoped = unix.LANDLOCK_SCOPE_SIGNAL
		if !network {
			rules.Scoped |= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		}
	}
	rules.Handled_access_fs = handled
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), size, 0)
	if errno != 0 {
		return nil, fmt.Errorf("making a Landlock domain: %w", errno)
	}
	return &domain{int(fd), handled}, nil
}

// allow gives rights to what lies at or beneath a path, if there is something.
func (d *domain) allow(path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // what is not there, or can't be reached, needs no right
	}
	defer unix.Close(fd)
	return d.allowFile(fd, path, rights)
}

// allowFile is allow for what is open. name is for errors.
func (d *domain) allowFile(fd int, name string, rights uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights & d.handled, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(d.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("a Landlock rule for %s: %w", name, errno)
	}
	return nil
}

// enter puts the calling thread, which needs no_new_privs, and all that it starts into the domain for good.
func (d *domain) enter() error {
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(d.fd), 0, 0); errno != 0 {
		return fmt.Errorf("entering a Landlock domain: %w", errno)
	}
	return nil
}

func (d *domain) close() { _ = unix.Close(d.fd) }
