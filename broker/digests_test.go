package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// What a peer is known to hold is bounded: the oldest are forgotten.
func TestDigests(t *testing.T) {
	d := newDigests()
	name := func(i int) job.Digest { return job.Digest(fmt.Sprint(i)) }
	for i := range maxDigests + 10 {
		d.add(name(i))
		d.add(name(i))
	}
	require.Len(t, d.known, maxDigests)
	require.Len(t, d.order, maxDigests)
	require.False(t, d.all([]job.Digest{name(9)}))
	require.True(t, d.all([]job.Digest{name(10), name(maxDigests + 9)}))
	require.False(t, d.all([]job.Digest{name(10), "other"}))
	require.True(t, (*digests)(nil).all(nil))
	require.False(t, (*digests)(nil).all([]job.Digest{"x"}))
}
