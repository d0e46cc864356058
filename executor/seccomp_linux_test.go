package executor

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// verdict runs a filter on a call, as the kernel does.
func verdict(t *testing.T, f filter, arch, call uint32, args ...uint32) (action uint32) {
	data := map[uint32]uint32{callNumber: call, callArch: arch}
	for i, a := range args {
		data[callArgs+8*uint32(i)] = a
	}
	p, a := f.program(), uint32(0)
	require.LessOrEqual(t, len(p), 4096, "the kernel takes no more")
	for at := 0; at < len(p); at++ {
		x, jump := p[at], false
		switch x.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = data[x.K]
			continue
		case unix.BPF_RET | unix.BPF_K:
			return x.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump = a == x.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump = a >= x.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump = a&x.K != 0
		default:
			require.Fail(t, "an instruction that is not known here", "%+v", x)
		}
		if jump {
			at += int(x.Jt)
		} else {
			at += int(x.Jf)
		}
	}
	require.Fail(t, "the filter has no end")
	return 0
}

// The filter does what its table says, in each of its forms.
func TestFilter(t *testing.T) {
	var (
		ok     = uint32(unix.SECCOMP_RET_ALLOW)
		eperm  = returnError(unix.EPERM)
		eacces = returnError(unix.EACCES)
		enosys = returnError(unix.ENOSYS)
	)
	type call = []uint32 // its number and arguments
	alone, apart := filter{}, filter{apart: true, unixSockets: true, cloneThree: true, counted: true}
	online, module := filter{network: true, traced: true}, filter{modules: true}
	self := uint32(os.Getpid())
	for name, c := range map[string]struct {
		call                         call
		alone, apart, online, module uint32
	}{
		"read":                      {call{unix.SYS_READ, 1, 2, 3}, ok, ok, ok, ok},
		"mount":                     {call{unix.SYS_MOUNT}, eperm, eperm, eperm, eperm},
		"bpf":                       {call{unix.SYS_BPF}, eperm, eperm, eperm, eperm},
		"ptrace":                    {call{unix.SYS_PTRACE}, eperm, ok, ok, eperm},
		"a file in memory":          {call{unix.SYS_MEMFD_CREATE}, eperm, ok, eperm, eperm},
		"clone3":                    {call{unix.SYS_CLONE3}, enosys, ok, enosys, enosys},
		"a process":                 {call{unix.SYS_CLONE, uint32(unix.SIGCHLD)}, ok, ok, ok, eperm},
		"a thread":                  {call{unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_THREAD}, ok, ok, ok, ok},
		"a namespace of users":      {call{unix.SYS_CLONE, unix.CLONE_NEWUSER | uint32(unix.SIGCHLD)}, eperm, eperm, eperm, eperm},
		"a program":                 {call{unix.SYS_EXECVE}, ok, ok, ok, eperm},
		"ioctl":                     {call{unix.SYS_IOCTL, 0, unix.TCGETS}, ok, ok, ok, ok},
		"typing on a terminal":      {call{unix.SYS_IOCTL, 0, unix.TIOCSTI}, eperm, eperm, eperm, eperm},
		"pasting on a console":      {call{unix.SYS_IOCTL, 0, unix.TIOCLINUX}, eperm, eperm, eperm, eperm},
		"the number as descriptor":  {call{unix.SYS_IOCTL, unix.TIOCSTI, 0}, ok, ok, ok, ok},
		"a Unix socket":             {call{unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM}, eacces, ok, ok, eacces},
		"a TCP socket":              {call{unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM}, eacces, eacces, ok, eacces},
		"a socket of version 6":     {call{unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_DGRAM}, eacces, eacces, ok, eacces},
		"the routes":                {call{unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, eacces, eacces, ok, eacces},
		"the kernel's audit":        {call{unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, eacces, eacces, eacces, eacces},
		"packets":                   {call{unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW}, eacces, eacces, eacces, eacces},
		"a pair of sockets":         {call{unix.SYS_SOCKETPAIR, unix.AF_UNIX}, ok, ok, ok, eperm},
		"own limits":                {call{unix.SYS_PRLIMIT64, 0}, ok, ok, ok, ok},
		"the first process's":       {call{unix.SYS_PRLIMIT64, 1}, eperm, eperm, eperm, eperm},
		"another's limits":          {call{unix.SYS_PRLIMIT64, 77}, eperm, ok, eperm, eperm},
		"own priority":              {call{unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0}, ok, ok, ok, ok},
		"another's priority":        {call{unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 77}, eperm, ok, eperm, eperm},
		"all priorities of a user":  {call{unix.SYS_SETPRIORITY, unix.PRIO_USER, 0}, eperm, eperm, eperm, eperm},
		"a signal to another":       {call{unix.SYS_KILL, 77, 9}, ok, ok, ok, eperm},
		"a signal to all":           {call{unix.SYS_KILL, ^uint32(0), 9}, ok, ok, ok, eperm},
		"a signal to itself":        {call{unix.SYS_KILL, self, 9}, ok, ok, ok, ok},
		"one to a thread of itself": {call{unix.SYS_TGKILL, self, 77}, ok, ok, ok, ok},
		"a descriptor of a process": {call{unix.SYS_PIDFD_OPEN, 77}, ok, ok, ok, eperm},
	} {
		t.Run(name, func(t *testing.T) {
			for _, x := range []struct {
				form string
				f    filter
				want uint32
			}{{"alone", alone, c.alone}, {"apart", apart, c.apart}, {"online", online, c.online}, {"module", module, c.module}} {
				require.Equal(t, x.want, verdict(t, x.f, auditArch, c.call[0], c.call[1:]...), x.form)
			}
		})
	}
	require.Equal(t, eperm, verdict(t, online, unix.AUDIT_ARCH_I386, unix.SYS_READ), "the calls of another architecture have other numbers")
	if x32Bit != 0 {
		require.Equal(t, eperm, verdict(t, online, auditArch, x32Bit|unix.SYS_READ))
	}
	for _, f := range []filter{alone, apart, online, module} {
		seen := map[uintptr]bool{}
		for _, r := range f.rules() {
			require.False(t, seen[r.call], "call %d stands twice: its second line says nothing", r.call)
			seen[r.call] = true
		}
	}
}
