package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// An operator sees who is away, gives it up, and is told what that costs (rule M2).
func TestClusterForget(t *testing.T) {
	b, s := newFakeBroker(t)
	since := time.Now().Add(-25*time.Hour - time.Minute)
	b.members.Members = []api.Member{
		{Name: "b0", Addr: "10.0.0.1:7946", HTTPAddr: "10.0.0.1:8000", Status: "alive", Roll: "open", Self: true},
		{Name: "b1", Addr: "10.0.0.2:7946", HTTPAddr: "10.0.0.2:8000", Status: "alive", Roll: "open", RTT: clock.Duration(time.Millisecond)},
		{Name: "b3", Status: "failed", Roll: "open", Away: true, AwaySince: &since},
		{Name: "b4", Status: "failed", Roll: "open", Away: true},
		{Name: "b5", Addr: "10.0.0.5:7946", HTTPAddr: "10.0.0.5:8000", Status: "left", Roll: "left"},
	}
	require.Equal(t, ran{0, `
NAME  STATUS  ROLL               EMERGENCY  GOSSIP         HTTP           RTT
b0 *  alive   in                 -          10.0.0.1:7946  10.0.0.1:8000  -
b1    alive   in                 -          10.0.0.2:7946  10.0.0.2:8000  1ms
b3    failed  in, away for 1d1h  -          -              -              -
b4    failed  in, away           -          -              -              -
b5    left    left               -          10.0.0.5:7946  10.0.0.5:8000  -
`[1:], ""}, s.run("members"))
	require.Contains(t, s.run("__complete", "cluster", "forget", "").out, "b3\tin, away for 1d1h\nb4\tin, away\n")

	require.Equal(t, ran{0, "b3 no longer takes part; 2 brokers know this so far\n" +
		"removed and not back: 1; firm results stay as they are with up to 1 removed, wiped or restored\n", ""}, s.run("cluster", "forget", "b3"))
	require.Equal(t, ran{exitError, "", "ucp: b1 is there: stop it, and it leaves by itself\n"}, s.run("cluster", "forget", "b1"))
	require.Equal(t, ran{exitError, "", "ucp: no broker \"b9\" takes part\n"}, s.run("cluster", "forget", "b9"))
	got := s.run("cluster", "forget", "b4", "-o", "json")
	require.Zero(t, got.code)
	require.JSONEq(t, `{"name":"b4","losses":1,"bear":1,"replicas":2,"degraded":false}`, got.out)
	require.Equal(t, "removed and not back: 2; firm results stay as they are with up to 1 removed, wiped or restored: they may change now", lossLine(2, 1))
}
