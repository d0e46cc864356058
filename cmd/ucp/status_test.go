package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// The line that sums up the peers never calls them all healthy while something is known that speaks against it.
func TestPeersLine(t *testing.T) {
	s := &api.Coordination{TotalPeers: 2, HealthyPeers: 2, PeerBrokers: map[string]api.Peer{"b": {Healthy: true}, "c": {Healthy: true}}}
	require.Equal(t, "2, all healthy", peersLine(s))
	s.PeerBrokers["c"] = api.Peer{Healthy: true, ByMessages: true}
	require.Equal(t, "2, all answer, but gossip says that some are GONE", peersLine(s))
	s.PeerBrokers["c"] = api.Peer{Healthy: true, Unproven: true, ClockOff: clock.Duration(-time.Hour), Breaches: 2}
	require.Equal(t, "2, all answer, but the start of some is not proven; the clock of some is WRONG; some say what they CAN'T KNOW", peersLine(s))
	s.PeerBrokers["c"] = api.Peer{Healthy: true, Unset: true}
	require.Equal(t, "2, all answer, but the clock of some is WRONG", peersLine(s))
	s.PeerBrokers["c"] = api.Peer{Healthy: true, TakesNone: "its disk is full"}
	require.Equal(t, "2, all answer, but some TAKE NO JOBS", peersLine(s))
	c := s.PeerBrokers["c"]
	require.Equal(t, "healthy, TAKES NO JOBS: its disk is full", healthText(&c))
	s.PeerBrokers["c"] = api.Peer{Healthy: true, ByMessages: true}
	s.Unproven = true
	require.Equal(t, "2, all answer, but this broker's start is NOT PROVEN; gossip says that some are GONE", peersLine(s))
	s.UnhealthyPeers = 1
	require.Equal(t, "2, 1 UNHEALTHY", peersLine(s))
}

// A clock that the cluster does not go by is named, with what time it is instead.
func TestTimeLine(t *testing.T) {
	at := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		s    api.Coordination
		want string
	}{
		{api.Coordination{AsOf: at}, ""},
		{api.Coordination{AsOf: at, Time: at.Add(time.Second)}, ""},
		{api.Coordination{AsOf: at.Add(48 * time.Hour), Time: at}, "2026-01-31 15:04:05 UTC; this machine's clock is 2d0h AHEAD"},
		{api.Coordination{AsOf: at.Add(-time.Hour), Time: at}, "2026-01-31 15:04:05 UTC; this machine's clock is 1h0m BEHIND"},
		{api.Coordination{AsOf: time.Unix(0, 0), Time: at, Unset: true}, "2026-01-31 15:04:05 UTC; this machine's clock is NOT SET"},
	} {
		require.Equal(t, c.want, timeLine(&c.s))
	}
}
