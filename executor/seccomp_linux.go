package executor

import (
	"fmt"
	"os"
	"runtime"
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
	modules     bool // for a worker of modules, which starts no process, opens no socket and signals nobody
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

// signalling sends signals to others, or takes hold of them for that.
var signalling = []uintptr{unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL}

const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// A rule says what becomes of a system call: its first case that holds decides; if none does, the call works.
type rule struct {
	call  uintptr
	cases []callCase
}

// A callCase holds when all its conditions do.
type callCase struct {
	action uint32 // what becomes of the call
	when   []condition
}

// A condition is about the lower half of an argument, counted from 0.
type condition struct {
	arg   uint32
	bits  bool // whether the argument has any of the bits of value; otherwise, whether it is value
	value uint32
	not   bool // the opposite
}

func is(arg, value uint32) condition     { return condition{arg: arg, value: value} }
func isNot(arg, value uint32) condition  { return condition{arg: arg, value: value, not: true} }
func hasAny(arg, value uint32) condition { return condition{arg: arg, value: value, bits: true} }
func hasNone(arg, value uint32) condition {
	return condition{arg: arg, value: value, bits: true, not: true}
}
func works(when ...condition) callCase  { return callCase{unix.SECCOMP_RET_ALLOW, when} }
func fails(when ...condition) callCase  { return callCase{returnError(unix.EPERM), when} }
func denied(when ...condition) callCase { return callCase{returnError(unix.EACCES), when} }
func absent(when ...condition) callCase { return callCase{returnError(unix.ENOSYS), when} }

func returnError(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

func on(call uintptr, cases ...callCase) rule { return rule{call, cases} }

// rules is the filter as a table, in which each call stands once.
func (f filter) rules() (table []rule) {
	always := func(calls ...uintptr) {
		for _, call := range calls {
			table = append(table, on(call, fails()))
		}
	}
	always(refused...)
	if !f.traced && !f.apart || f.modules {
		always(tracing...)
	}
	if !f.counted {
		always(uncounted...)
	}
	if !f.cloneThree {
		table = append(table, on(unix.SYS_CLONE3, absent())) // the C library then takes clone
	}
	if f.modules {
		always(unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_SOCKETPAIR)
		always(signalling...)
		always(forksHere...)
		self := uint32(os.Getpid())
		table = append(table,
			on(unix.SYS_CLONE, fails(hasNone(0, unix.CLONE_THREAD))),
			on(unix.SYS_KILL, fails(isNot(0, self))),
			on(unix.SYS_TGKILL, fails(isNot(0, self))))
	} else {
		table = append(table, on(unix.SYS_CLONE, fails(hasAny(0, newNamespaces))))
	}
	table = append(table,
		on(unix.SYS_IOCTL, fails(is(1, unix.TIOCSTI)), fails(is(1, unix.TIOCLINUX))), // type on a terminal
		on(unix.SYS_SOCKET, f.sockets()...))
	// In a namespace other processes are the job's own, but for the first, its worker.
	other := func(arg uint32) condition {
		if f.apart {
			return is(arg, 1)
		}
		return isNot(arg, 0)
	}
	for _, call := range ofOthers {
		table = append(table, on(call, fails(other(0))))
	}
	for _, call := range kindAndNumber {
		table = append(table, on(call.number, fails(is(0, call.ofUser)), fails(other(1))))
	}
	return table
}

// sockets says which sockets can be made.
func (f filter) sockets() (cases []callCase) {
	if f.unixSockets || f.network {
		cases = append(cases, works(is(0, unix.AF_UNIX)))
	}
	if f.network {
		cases = append(cases, works(is(0, unix.AF_INET)), works(is(0, unix.AF_INET6)),
			works(is(0, unix.AF_NETLINK), is(2, unix.NETLINK_ROUTE))) // which addresses there are
	}
	return append(cases, denied())
}

// Offsets in what a filter sees of a call (struct seccomp_data); of arguments, the lower half.
const (
	callNumber = 0
	callArch   = 4
	callArgs   = 16
)

// program returns the filter in the machine language of the kernel's classic BPF.
func (f filter) program() []unix.SockFilter {
	p := []unix.SockFilter{
		load(callArch), jump(unix.BPF_JEQ, auditArch, 1, 0), end(returnError(unix.EPERM)),
		load(callNumber),
	}
	if x32Bit != 0 { // the calls of another interface of amd64
		p = append(p, jump(unix.BPF_JGE, x32Bit, 0, 1), end(returnError(unix.EPERM)))
	}
	for _, r := range f.rules() {
		body := r.program()
		p = append(append(p, jump(unix.BPF_JEQ, uint32(r.call), 0, uint8(len(body)))), body...)
	}
	return append(p, end(unix.SECCOMP_RET_ALLOW))
}

// program returns what follows when the call is that of the rule.
func (r rule) program() (p []unix.SockFilter) {
	for _, c := range r.cases {
		for i, w := range c.when {
			code, next := uint16(unix.BPF_JEQ), uint8(2*(len(c.when)-i)-1) // from here to the next case
			if w.bits {
				code = unix.BPF_JSET
			}
			if w.not {
				p = append(p, load(callArgs+8*w.arg), jump(code, w.value, next, 0))
			} else {
				p = append(p, load(callArgs+8*w.arg), jump(code, w.value, 0, next))
			}
		}
		p = append(p, end(c.action))
	}
	if len(r.cases[len(r.cases)-1].when) > 0 {
		p = append(p, end(unix.SECCOMP_RET_ALLOW))
	}
	return p
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// jump skips yes instructions when a comparison holds, and no of them when it does not.
func jump(comparison uint16, value uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, Jt: yes, Jf: no, K: value}
}

func end(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// install puts the filter on the calling thread, which needs no_new_privs, and on all that it starts; a filter for workers of
// modules, on all threads of this process.
func (f filter) install() error {
	if f.modules {
		return f.put(unix.SECCOMP_FILTER_FLAG_TSYNC)
	}
	return f.put(0)
}

// installHere puts it on the calling thread alone.
func (f filter) installHere() error { return f.put(0) }

func (f filter) put(flags uintptr) error {
	program := f.program()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	switch {
	case errno != 0:
		return fmt.Errorf("filtering system calls: %w", errno)
	case thread != 0:
		return fmt.Errorf("filtering system calls: thread %d has another filter", thread)
	}
	return nil
}
