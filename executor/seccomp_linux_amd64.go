package executor

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	x32Bit    = 0x40000000
)

// forksHere are calls with which only this architecture's processes fork.
var forksHere = []uintptr{unix.SYS_FORK, unix.SYS_VFORK}

// refusedHere are calls that only this architecture has.
var refusedHere = []uintptr{
	unix.SYS_CREATE_MODULE, unix.SYS_GET_KERNEL_SYMS, unix.SYS_IOPERM, unix.SYS_IOPL, unix.SYS_MODIFY_LDT, unix.SYS_QUERY_MODULE,
	unix.SYS__SYSCTL, unix.SYS_SYSFS, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_VSERVER,
}
