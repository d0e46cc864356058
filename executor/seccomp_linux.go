package executor

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The filter of system calls is a list of what fails, like that of container engines turned round: what is dangerous, and no
// program that computes needs. What is not in it works, so that programs run that nobody has thought of.

// filter says what a seccomp filter refuses beyond what it always does.
type filter struct {
	network     bool // sockets of the Internet are allowed
	unixSockets bool // Unix sockets can be made; pairs of them always can
	apart       bool // only its own processes have numbers for it (a namespace of processes)
	traced      bool // Landlock keeps it from tracing others
	counted     bool // memory that no process has mapped is counted
	cloneThree  bool // clone3, whose flags a filter can't see: its start needs it in version 2 of control groups
}

// refused fail with EPERM.
var refused = append([]uintptr{
	unix.SYS_ACCT, unix.SYS_ADD_KEY, unix.SYS_ADJTIMEX, unix.SYS_BPF, unix.SYS_CHROOT, unix.SYS_CLOCK_ADJTIME, unix.SYS_CLOCK_SETTIME,
	unix.SYS_DELETE_MODULE, unix.SYS_FANOTIFY_INIT, unix.SYS_FINIT_MODULE, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSOPEN,
	unix.SYS_FSPICK, unix.SYS_INIT_MODULE, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_IO_URING_SETUP,
	unix.SYS_KCMP, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_KEXEC_LOAD, unix.SYS_KEYCTL, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_MOUNT,
	unix.SYS_MOUNT_SETATTR, unix.SYS_MOVE_MOUNT, unix.SYS_NFSSERVCTL, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_OPEN_TREE,
	unix.SYS_PERF_EVENT_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIVOT_ROOT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_REBOOT,
	unix.SYS_REQUEST_KEY, unix.SYS_SETDOMAINNAME, unix.SYS_SETHOSTNAME, unix.SYS_SETNS, unix.SYS_SETTIMEOFDAY, unix.SYS_SWAPOFF,
	unix.SYS_SWAPON, unix.SYS_SYSLOG, unix.SYS_UMOUNT2, unix.SYS_UNSHARE, unix.SYS_USERFAULTFD, unix.SYS_VHANGUP, unix.SYS_MEMFD_SECRET,
}, refusedHere...)

// tracing lets a process look into others.
var tracing = []uintptr{unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE}

// uncounted make memory that outlives, or lies beside, what processes have mapped.
var uncounted = []uintptr{unix.SYS_MEMFD_CREATE, unix.SYS_SHMGET}

// ofOthers change other processes that their first argument names; 0 is the caller.
var ofOthers = []uintptr{unix.SYS_PRLIMIT64, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETATTR, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES}

// kindAndNumber change the processes that their first two arguments name: a kind, one of which is all processes of a user, and a
// number.
var kindAndNumber = []struct {
	number uintptr
	ofUser uint32
}{{unix.SYS_SETPRIORITY, unix.PRIO_USER}, {unix.SYS_IOPRIO_SET, 3}}

const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Offsets in what a filter sees of a call (struct seccomp_data); of arguments, the lower half.
const (
	callNumber = 0
	callArch   = 4
	callArgs   = 16
)

const (
	allowCall  = unix.SECCOMP_RET_ALLOW
	failCall   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	failSocket = unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)
	absentCall = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// program returns the filter in the machine language of the kernel's classic BPF.
func (f filter) program() (p []unix.SockFilter) {
	load := func(offset uint32) {
		p = append(p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
	}
	end := func(action uint32) { p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}) }
	// unless skips the next n instructions if the comparison holds; when skips them if it does not.
	unless := func(code uint16, k uint32, n uint8) {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | code | unix.BPF_K, Jt: n, K: k})
	}
	when := func(code uint16, k uint32, n uint8) {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | code | unix.BPF_K, Jf: n, K: k})
	}
	// on makes the rules of one call, behind which its number is loaded again.
	on := func(call uintptr, rules func()) {
		at := len(p)
		when(unix.BPF_JEQ, uint32(call), 0)
		rules()
		end(allowCall)
		p[at].Jf = uint8(len(p) - at - 1)
	}
	load(callArch)
	unless(unix.BPF_JEQ, auditArch, 1)
	end(failCall)
	load(callNumber)
	if x32Bit != 0 { // the calls of another interface of amd64
		when(unix.BPF_JGE, x32Bit, 1)
		end(failCall)
	}
	list := refused
	if !f.traced && !f.apart {
		list = append(slices.Clip(list), tracing...)
	}
	if !f.counted {
		list = append(slices.Clip(list), uncounted...)
	}
	for _, call := range list {
		when(unix.BPF_JEQ, uint32(call), 1)
		end(failCall)
	}
	if !f.cloneThree {
		when(unix.BPF_JEQ, unix.SYS_CLONE3, 1)
		end(absentCall) // the C library then takes clone
	}
	on(unix.SYS_CLONE, func() {
		load(callArgs)
		when(unix.BPF_JSET, newNamespaces, 1)
		end(failCall)
	})
	on(unix.SYS_IOCTL, func() {
		load(callArgs + 8)
		for _, request := range []uint32{unix.TIOCSTI, unix.TIOCLINUX} { // type on a terminal
			when(unix.BPF_JEQ, request, 1)
			end(failCall)
		}
	})
	on(unix.SYS_SOCKET, func() {
		load(callArgs)
		families := []uint32{}
		if f.unixSockets || f.network {
			families = append(families, unix.AF_UNIX)
		}
		if f.network {
			families = append(families, unix.AF_INET, unix.AF_INET6)
			when(unix.BPF_JEQ, unix.AF_NETLINK, 4)
			load(callArgs + 16)
			when(unix.BPF_JEQ, unix.NETLINK_ROUTE, 1) // which addresses there are
			end(allowCall)
			end(failSocket)
		}
		for _, family := range families {
			when(unix.BPF_JEQ, family, 1)
			end(allowCall)
		}
		end(failSocket)
	})
	// notOthers refuses a call when the argument loaded names another process. In a namespace these are the job's own, but for
	// the first, its worker.
	notOthers := func() {
		if f.apart {
			when(unix.BPF_JEQ, 1, 1)
		} else {
			unless(unix.BPF_JEQ, 0, 1)
		}
		end(failCall)
	}
	for _, call := range ofOthers {
		on(call, func() {
			load(callArgs)
			notOthers()
		})
	}
	for _, call := range kindAndNumber {
		on(call.number, func() {
			load(callArgs)
			when(unix.BPF_JEQ, call.ofUser, 1)
			end(failCall)
			load(callArgs + 8)
			notOthers()
		})
	}
	end(allowCall)
	return p
}

// install puts the filter on the calling thread, which needs no_new_privs, and on all that it starts.
func (f filter) install() error {
	program := f.program()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return fmt.Errorf("filtering system calls: %w", errno)
	}
	return nil
}
