package executor

import (
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
)

const (
	// workerOverhead is the memory in bytes that a worker may use beside its job's, for the Go runtime and the compiler.
	workerOverhead = 768 << 20

	wasmPage = 64 << 10 // bytes
	maxPages = 1 << 16  // a 32-bit memory has no more
	// keepMemory bounds how many bytes of one job's memory a worker keeps for the next job.
	keepMemory = 8 << 20
)

// guestMemory is the linear memory of the module that a worker runs, and its limit. The limit is enforced here
// rather than by the runtime's configuration (WithMemoryLimitPages) for two reasons: one compiled module, kept
// warm, serves jobs with different limits; and the failure's reason can say that the job was refused memory.
//
// The whole limit is reserved as address space and made usable as the module grows, so that growing copies
// nothing. The first megabytes are cleared and used again by the next job, because the page faults of fresh
// memory cost a small Go program more than all of its own work. The rest is returned to the system at once.
type guestMemory struct {
	space   []byte // reserved
	usable  uint64 // bytes of space that may be accessed; the rest faults
	used    uint64 // bytes of space that this job was given
	limit   uint64 // bytes; a multiple of the page size
	refused bool   // the module asked for more than the limit
	short   bool   // the machine did not give what is below the limit
}

// begin prepares for a job that may use limit bytes, rounded down to whole pages.
func (m *guestMemory) begin(limit int64) {
	m.limit = min(uint64(max(limit, 0))/wasmPage, maxPages) * wasmPage
	m.refused, m.short = false, false
}

// Allocate implements experimental.MemoryAllocator. wazero calls it once per job, with the module's own minimum,
// which has been checked against the limit before.
func (m *guestMemory) Allocate(_, max uint64) experimental.LinearMemory {
	if need := min(max, m.limit); need > uint64(len(m.space)) {
		release(m.space)
		m.space, m.usable = reserve(need), 0
	}
	return m
}

// Reallocate implements experimental.LinearMemory. It returns nil to refuse, which the module sees as
// memory.grow returning -1.
func (m *guestMemory) Reallocate(size uint64) []byte {
	if m.short = m.short || size <= m.limit && m.space == nil && size > 0; m.short {
		return nil
	}
	if size > m.limit || size > uint64(len(m.space)) {
		m.refused = true
		return nil
	}
	if size > m.usable {
		if !commit(m.space, size) {
			m.short = true
			return nil
		}
		m.usable = size
	}
	m.used = max(m.used, size)
	return m.space[:size:size]
}

// Free implements experimental.LinearMemory. It does nothing: wazero does not call it in every case (for
// instance when a module ends while it is being cancelled), so the worker calls wipe between jobs.
func (m *guestMemory) Free() {}

// wipe clears what the last job wrote. It must be called before the next begin, after the job's module was
// closed.
func (m *guestMemory) wipe() {
	keep := min(m.used, keepMemory)
	clear(m.space[:keep])
	if m.used > keep && !drop(m.space[keep:m.used]) {
		release(m.space) // there is no cheap way to get zeroed pages here
		m.space, m.usable = nil, 0
	}
	m.used = 0
}

// bytesOf formats a size for people, in binary units.
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
