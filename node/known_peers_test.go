package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
)

// A broker that was told of others is unbootstrapped until it has met one; from then on it is not, also
// when all others have left again (rule A3).
func TestUnbootstrapped(t *testing.T) {
	st, _, _, _ := storeOfEachKind(t)
	alone, err := recallPeers(st, "a", false)
	require.NoError(t, err)
	require.False(t, alone.isUnbootstrapped(1), "a broker that was told of nobody is a cluster of one")
	told, err := recallPeers(st, "a", true)
	require.NoError(t, err)
	require.True(t, told.isUnbootstrapped(1))
	require.False(t, told.isUnbootstrapped(2))
	require.False(t, told.isUnbootstrapped(1))
}

// What a member speaks is remembered: one that is absent when this broker starts may come back as it was,
// and until then nothing is written that it can't read (rule K5).
func TestKnownPeersKeepTheirProtocol(t *testing.T) {
	st, _, _, _ := storeOfEachKind(t)
	now := time.Unix(1_800_000_000, 0)
	x, err := recallPeers(st, "a", true)
	require.NoError(t, err)
	list := []membership.Member{{Name: "b", Actor: "b~1", Status: membership.Alive, Protocol: 2}, {Name: "c", Actor: "c~1", Status: membership.Alive}}
	require.NoError(t, x.remember(list, now))
	x, err = recallPeers(st, "a", true)
	require.NoError(t, err)
	missing := x.missing(nil, now)
	require.Len(t, missing, 2)
	require.Equal(t, []int{2, 0}, []int{missing[0].Protocol, missing[1].Protocol})
	list[0].Protocol = 1 // set back to the version before
	require.NoError(t, x.remember(list, now))
	require.Equal(t, 1, x.missing(nil, now)[0].Protocol)
}
