package ack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
)

// A blob that is missed may be a file of any directory: each is looked at again before it counts as here (rule R3).
func TestMissedFileOfADirectory(t *testing.T) {
	h := NewHolders(membership.New(membership.Config{Actor: "a~1"}), 0)
	h.Tick(time.Unix(1_700_000_000, 0))
	dir, file, other := job.TreeOf("m"), job.Digest("f"), job.Digest("o")
	h.Saw(dir, file, other)
	require.True(t, h.Has("a", []job.Digest{dir, file, other}))
	h.Missed(file)
	require.False(t, h.Has("a", []job.Digest{dir}))
	require.False(t, h.Has("a", []job.Digest{file}))
	require.True(t, h.Has("a", []job.Digest{other}))
	h.Saw(dir)
	require.True(t, h.Has("a", []job.Digest{dir}), "it was looked at, and is all here")
}
