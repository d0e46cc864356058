package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/cgroup"
)

// Memory is tight when the machine, or a control group, has hardly any left, or when processes wait for it.
func TestTight(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		total, free int64
		group       cgroup.Limits
		tight       bool
	}{
		{16 * gib, 8 * gib, cgroup.Limits{}, false},
		{16 * gib, gib - 1, cgroup.Limits{}, true},
		{0, 0, cgroup.Limits{}, false},
		{16 * gib, 8 * gib, cgroup.Limits{Memory: 16 << 20, Available: 1 << 20}, false},
		{16 * gib, 8 * gib, cgroup.Limits{Memory: 16 << 20, Available: 1<<20 - 1}, true},
		{16 * gib, 8 * gib, cgroup.Limits{MemoryPressure: tightPressure / 2, CPUPressure: 1}, false},
		{16 * gib, 8 * gib, cgroup.Limits{MemoryPressure: tightPressure}, true},
	} {
		require.Equal(t, c.tight, tight(c.total, c.free, c.group), "%+v", c)
	}
}
