package executor

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// reserve takes address space without memory behind it.
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

// commit makes the first size bytes usable; they are zero where they are new.
func commit(space []byte, size uint64) bool {
	return unix.Mprotect(space[:size], unix.PROT_READ|unix.PROT_WRITE) == nil
}

// drop gives memory back and reports whether it reads as zero from now on, which
// only Linux promises.
func drop(b []byte) bool {
	return runtime.GOOS == "linux" && unix.Madvise(b, unix.MADV_DONTNEED) == nil
}

func release(space []byte) {
	if space != nil {
		_ = unix.Munmap(space)
	}
}
