package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// The line that sums up the peers never calls them all healthy while gossip says that one is gone.
func TestPeersLine(t *testing.T) {
	s := &api.Coordination{TotalPeers: 2, HealthyPeers: 2, PeerBrokers: map[string]api.Peer{"b": {Healthy: true}, "c": {Healthy: true}}}
	require.Equal(t, "2, all healthy", peersLine(s))
	s.PeerBrokers["c"] = api.Peer{Healthy: true, ByMessages: true}
	require.Equal(t, "2, all answer, but gossip says that some are GONE", peersLine(s))
	s.UnhealthyPeers = 1
	require.Equal(t, "2, 1 UNHEALTHY", peersLine(s))
}
