package node

import (
	"testing"

	"github.com/stretchr/testify/require"
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
