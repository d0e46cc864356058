package executor

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// reserve returns address space that no memory backs yet, or nil if there is none.
func reserve(size uint64) []byte {
	if size == 0 {
		return nil
	}
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil // the module is then refused its first page
	}
	return b
}

// commit makes the first size bytes accessible. Bytes that were not accessible before are zero.
func commit(space []byte, size uint64) bool {
	return unix.Mprotect(space[:size], unix.PROT_READ|unix.PROT_WRITE) == nil
}

// drop returns memory to the system and reports whether it reads as zero from now on, which only Linux
// guarantees.
func drop(b []byte) bool {
	return runtime.GOOS == "linux" && unix.Madvise(b, unix.MADV_DONTNEED) == nil
}

func release(space []byte) {
	if space != nil {
		_ = unix.Munmap(space)
	}
}
