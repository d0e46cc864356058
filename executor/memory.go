package executor

import (
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
)

const wasmPage = 64 << 10 // bytes

// guestMemory is the linear memory of one run of a module, and its limit. The
// limit sits here rather than in the runtime's configuration (WithMemoryLimitPages)
// for two reasons: one compiled module, kept warm, serves jobs with different
// limits; and we know that a job was refused memory, so that we can say so.
//
// The whole limit is reserved as address space and made usable as the module
// grows, so that growing copies nothing, and the end of a job gives everything
// back at once instead of leaving it to the garbage collector.
type guestMemory struct {
	limit   uint64 // bytes
	refused bool   // the module asked for more
	space   []byte // reserved; its length is what may be used at most
}

// newGuestMemory limits a module to limit bytes, rounded down to whole pages.
func newGuestMemory(limit int64) *guestMemory {
	return &guestMemory{limit: min(uint64(max(limit, 0)), 1<<32) / wasmPage * wasmPage}
}

// Allocate implements experimental.MemoryAllocator. wazero calls it once, with
// the module's own minimum, which was checked against the limit before.
func (m *guestMemory) Allocate(_, max uint64) experimental.LinearMemory {
	m.space = reserve(min(max, m.limit))
	return m
}

// Reallocate implements experimental.LinearMemory: nil refuses, which the module
// sees as memory.grow returning -1.
func (m *guestMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.space)) {
		m.refused = true
		return nil
	}
	if !commit(m.space, size) {
		m.refused = true
		return nil
	}
	return m.space[:size:size]
}

// Free implements experimental.LinearMemory. A second call does nothing: wazero
// does not call it when a module that was being cancelled ends by itself.
func (m *guestMemory) Free() {
	release(m.space)
	m.space = nil
}

// bytesOf writes a size as people do.
func bytesOf(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
}
