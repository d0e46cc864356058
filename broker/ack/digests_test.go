package ack

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// What a peer is known to hold is bounded: the oldest are forgotten.
func TestDigests(t *testing.T) {
	d, at := newDigests(), time.Unix(1000, 0)
	name := func(i int) job.Digest { return job.Digest(fmt.Sprint(i)) }
	for i := range maxDigests + 10 {
		d.add(name(i), at)
		d.add(name(i), at)
	}
	require.Len(t, d.known, maxDigests)
	require.Len(t, d.order, maxDigests)
	require.False(t, d.all([]job.Digest{name(9)}, at))
	require.True(t, d.all([]job.Digest{name(10), name(maxDigests + 9)}, at))
	require.False(t, d.all([]job.Digest{name(10), "other"}, at))
	require.True(t, (*digests)(nil).all(nil, at))
	require.False(t, (*digests)(nil).all([]job.Digest{"x"}, at))

	require.False(t, d.all([]job.Digest{name(10)}, at.Add(1)), "seen too long ago")
	d.add(name(10), at.Add(1))
	require.True(t, d.all([]job.Digest{name(10)}, at.Add(1)), "seen again")
	d.forget(name(10))
	d.forget("never known")
	require.False(t, d.all([]job.Digest{name(10)}, time.Time{}))
}
