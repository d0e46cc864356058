package executor

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A native program has its broker's user, or is even root's. Two things keep it from its broker all the same, as far as the
// kernel has them (decision 0165).
//
//   - Broker, spawner and the workers of native programs are not dumpable: another process of their user, without
//     CAP_SYS_PTRACE, which native programs have not, can neither trace them nor read their memory, environment and descriptors.
//   - A program is in a Landlock domain, which Linux 6.12 and later have: it can signal and trace only what it has started
//     itself, whoever it is.

// forbidCores sees to it that there is no core dump of this process and of all that it starts, which would have the secrets of jobs. A
// limit of 1 forbids that it is piped to a program, too; 0 forbids the file only.
func forbidCores() error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil || now.Max <= 1 {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}

// keepSecrets makes this process one that others of its user can't trace and read.
func keepSecrets() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping other processes from tracing this one: %w", err)
	}
	return nil
}

// signalScope is the first version of Landlock's interface in which a domain can be without signals to others.
const signalScope = 6

// confine keeps the calling thread, which must be locked and never let go, and all that it starts from other processes. It
// reports whether that holds for signals, too.
func confine() (signals bool, err error) {
	_ = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0) // who may not has not got it either
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || version < signalScope {
		return false, nil
	}
	rules := unix.LandlockRulesetAttr{Scoped: unix.LANDLOCK_SCOPE_SIGNAL}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Offsetof(rules.Scoped)+unsafe.Sizeof(rules.Scoped), 0)
	if errno != 0 {
		return false, fmt.Errorf("making a Landlock domain: %w", errno)
	}
	defer unix.Close(int(fd))
	_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
	if errno == unix.EPERM { // an ordinary user has to give up what set-user-ID programs could do for it
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return false, fmt.Errorf("entering a Landlock domain: %w", err)
		}
		_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
	}
	if errno != 0 {
		return false, fmt.Errorf("entering a Landlock domain: %w", errno)
	}
	return true, nil
}
