package executor

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	x32Bit    = 0
)

// refusedHere are calls that only this architecture has.
var refusedHere []uintptr
