package executor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A job's memory is zeroed and within its limit, whatever the jobs before it did.
func TestMemoryIsFreshForEachJob(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m guestMemory
		defer func() { release(m.space) }()
		for range rapid.IntRange(1, 4).Draw(t, "jobs") {
			limit := int64(rapid.IntRange(0, 3*keepMemory/wasmPage).Draw(t, "limit, in pages"))*wasmPage + rapid.Int64Range(0, wasmPage-1).Draw(t, "additional bytes")
			m.begin(limit)
			mem := m.Allocate(0, rapid.SampledFrom([]uint64{1 << 32, 5 * wasmPage}).Draw(t, "module's maximum"))
			var size uint64
			for range rapid.IntRange(0, 3).Draw(t, "grows") {
				size += rapid.Uint64Range(0, 200).Draw(t, "pages") * wasmPage
				b := mem.Reallocate(size)
				if b == nil && size > 0 {
					require.True(t, m.refused)
					require.Greater(t, size, min(m.limit, uint64(len(m.space))))
					break
				}
				require.LessOrEqual(t, size, uint64(limit))
				require.Len(t, b, int(size))
				for i := 0; i < len(b); i += 4096 {
					require.Zero(t, b[i]&^1, "foreign bytes")
					b[i] = 1 // this job's own mark; b[i+1] must stay zero
					if b[i+1] != 0 {
						require.Fail(t, "foreign bytes")
					}
				}
				if len(b) > 0 {
					require.Zero(t, b[len(b)-1])
				}
			}
			used := m.space[:m.used]
			for i := range used {
				used[i] = 0xff
			}
			m.wipe()
		}
	})
}

func TestLargeMemoryIsReturnedZeroed(t *testing.T) {
	var m guestMemory
	defer func() { release(m.space) }()
	const size = keepMemory + 4<<20
	for range 2 {
		m.begin(size)
		b := m.Allocate(0, 1<<32).Reallocate(size)
		require.Len(t, b, size)
		for i := 0; i < size; i += 512 {
			if b[i] != 0 {
				require.Fail(t, "foreign bytes", "at %d", i)
			}
			b[i] = 0xff
		}
		require.Nil(t, m.Reallocate(size+wasmPage))
		m.wipe()
	}
}
