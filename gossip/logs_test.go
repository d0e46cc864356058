package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseLogLine(t *testing.T) {
	for _, c := range []struct {
		line  string
		level slog.Level
		from  string
		text  string
	}{
		{"2024/01/02 15:04:05 [WARN] serf: timeout while waiting for graceful leave\n", slog.LevelWarn, "serf", "timeout while waiting for graceful leave"},
		{"2024/01/02 15:04:05 [INFO] agent.ipc: Accepted client: 127.0.0.1:5", slog.LevelInfo, "agent.ipc", "Accepted client: 127.0.0.1:5"},
		{"2024/01/02 15:04:05 [ERR] memberlist: Push/Pull with b failed: x: y", slog.LevelError, "memberlist", "Push/Pull with b failed: x: y"},
		{"2024/01/02 15:04:05 [ERROR] memberlist: x", slog.LevelError, "memberlist", "x"},
		{"2024/01/02 15:04:05 [DEBUG] memberlist: x", slog.LevelDebug, "memberlist", "x"},
		{"2024/01/02 15:04:05 [TRACE] serf: x", levelTrace, "serf", "x"},
		{"2024/01/02 15:04:05 [ERR] Failed to shutdown transport: x", slog.LevelError, "serf", "Failed to shutdown transport: x"},
		{"2024/01/02 15:04:05 Err: Could not set the deadline: x", slog.LevelWarn, "serf", "Err: Could not set the deadline: x"},
		{"2024/01/02 15:04:05 [WARN] agent: error joining: 2 errors occurred:\n\t* Failed to join a: x\n\t* Failed to join b: y\n\n", slog.LevelWarn, "agent", "error joining: Failed to join a: x; Failed to join b: y"},
		{"[LOUD] serf: x", slog.LevelWarn, "serf", "[LOUD] serf: x"},
		{"[", slog.LevelWarn, "serf", "["},
		{"", slog.LevelWarn, "serf", ""},
	} {
		level, from, text := parseLogLine(c.line)
		require.Equal(t, c.level, level, c.line)
		require.Equal(t, c.from, from, c.line)
		require.Equal(t, c.text, text, c.line)
	}
}

func TestLogBridgeKeepsLevelAndGoesQuiet(t *testing.T) {
	var buf bytes.Buffer
	bridge := &logBridge{log: slog.New(slog.NewTextHandler(&buf, nil))}
	std := log.New(bridge, "", log.LstdFlags)
	std.Printf("[DEBUG] serf: unseen")
	std.Printf("[WARN] serf: seen")
	require.NotContains(t, buf.String(), "unseen")
	require.Contains(t, buf.String(), `level=WARN msg=seen from=serf`)
	bridge.quiet.Store(true)
	std.Printf("[ERR] serf: caused by the shutdown")
	require.NotContains(t, buf.String(), "shutdown")
}

// What comes with every packet to a peer that is gone is for those who look for it; another line comes once, though its
// numbers differ.
func TestLogBridgeSaysThingsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		std := log.New(&logBridge{log: slog.New(slog.NewTextHandler(&buf, nil))}, "", log.LstdFlags)
		std.Printf("[ERR] memberlist: Failed to send gossip to 10.0.0.1:7946: network is unreachable")
		std.Printf("[WARN] memberlist: Refuting an alive message for 'b' (127.0.0.1:7946) meta:([255 138] VS [255 139]), vsn:([1 5 2] VS [1 5 2])")
		require.Empty(t, buf.String())
		for i := range 5 {
			std.Printf("[WARN] serf: Event queue depth: %d", 100+i)
			std.Printf("[WARN] memberlist: Was able to connect to b over TCP but UDP probes failed, network may be misconfigured")
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, strings.Count(buf.String(), "\n"), "%s", &buf)
		require.Contains(t, buf.String(), "TCP reaches b, and UDP does not")
		std.Printf("[WARN] serf: Query queue depth: 1")
		require.Equal(t, 3, strings.Count(buf.String(), "\n"), "%s", &buf)
		time.Sleep(sameEvery)
		std.Printf("[WARN] serf: Query queue depth: 2")
		require.Equal(t, 4, strings.Count(buf.String(), "\n"), "%s", &buf)
	})
}
