package node

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Bytes and files count: a disk without inodes takes as little as a full one.
func TestShortage(t *testing.T) {
	const mib = 1 << 20
	require.Empty(t, shortage("d", 256*mib, 256*mib, reserveFiles), "the reserve itself is enough")
	require.Empty(t, shortage("d", math.MaxUint64, 256*mib, math.MaxUint64))
	require.Equal(t, "the disk of d has 255 MiB free, less than the reserve of 256 MiB (--disk-reserve)", shortage("d", 256*mib-1, 256*mib, math.MaxUint64))
	require.Equal(t, "the disk of d has room for 1023 more files (inodes), less than the reserve of 1024", shortage("d", 300*mib, 256*mib, 1023))
}
