package executor

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	x32Bit    = 0
)

// forksHere are calls with which only this architecture's processes fork.
var forksHere []uintptr

// refusedHere are calls that only this architecture has.
var refusedHere []uintptr
