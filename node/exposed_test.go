package node

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// What strangers can reach, and which does not ask who they are, is refused with the commands that make it safe. Where
// --insecure allows it the log says so, and the host names the doors for status, members and metrics.
func TestExposedDoors(t *testing.T) {
	const init, keygen = "`ucp cluster init`", "`ucp keygen > FILE`"
	for _, c := range []struct {
		name    string
		cfg     Config
		refused string   // part of the refusal without --insecure; "" if there is none
		exposed []string // with --insecure
	}{
		{"loopback", Config{}, "", nil},
		{"loopback of IPv6", Config{Bind: "[::1]:7946"}, "", nil},
		{"loopback of IPv4 in IPv6", Config{Bind: "[::ffff:127.0.0.1]:7946"}, "", nil},
		{"no RPC", Config{RPCAddr: "-"}, "", nil},
		{"gossip", Config{Bind: "10.0.0.1:7946"}, init, []string{"gossip at 10.0.0.1:7946", "the HTTP API at 10.0.0.1:8000"}},
		{"gossip with a key", Config{Bind: "10.0.0.1:7946", Keyring: "keys"}, init, []string{"the HTTP API at 10.0.0.1:8000"}},
		{"HTTP at all addresses", Config{HTTPAddr: ":8000"}, init, []string{"the HTTP API at :8000"}},
		{"HTTP by a name", Config{HTTPAddr: "van.local:8000"}, init, []string{"the HTTP API at van.local:8000"}},
		{"RPC", Config{RPCAddr: "10.0.0.1:7373"}, keygen, []string{"the serf RPC at 10.0.0.1:7373"}},
		{"RPC with a key", Config{RPCAddr: "10.0.0.1:7373", RPCAuth: "secret"}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.DataDir = t.TempDir()
			_, err := c.cfg.complete()
			if c.refused == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "does not authenticate its callers")
				require.ErrorContains(t, err, c.refused)
			}
			var log bytes.Buffer
			c.cfg.Insecure, c.cfg.Logger = true, slog.New(slog.NewTextHandler(&log, nil))
			cfg, err := c.cfg.complete()
			require.NoError(t, err)
			require.Equal(t, c.exposed, host{&Node{cfg: cfg}}.Exposed())
			cfg.warnOfDoors()
			if c.exposed == nil {
				require.Empty(t, log.String())
				return
			}
			require.Contains(t, log.String(), "level=WARN")
			require.Contains(t, log.String(), c.exposed[0])
		})
	}
}

// The metrics count the doors that strangers can reach.
func TestExposedDoorsAreCounted(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	_, body := request(t, n, "GET", "/metrics", nil)
	require.Contains(t, body, "\nucp_exposed_interfaces 0\n")
	n.cfg.RPCAddr = "10.0.0.1:7373" // as if it had been given; nobody listens there
	_, body = request(t, n, "GET", "/metrics", nil)
	require.Contains(t, body, "\nucp_exposed_interfaces 1\n")
}
