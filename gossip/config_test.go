package gossip

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInvalidConfigIsRefusedWithAReason(t *testing.T) {
	good := Config{Name: "a", Bind: "127.0.0.1:0"}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no name", func(c *Config) { c.Name = "" }, "node name"},
		{"a name that Serf would take for name/address", func(c *Config) { c.Name = "a/b" }, "node name"},
		{"a long name", func(c *Config) { c.Name = strings.Repeat("a", 65) }, "node name"},
		{"tags beyond 512 bytes", func(c *Config) { c.Tags = map[string]string{"k": strings.Repeat("v", 510)} }, "tags take"},
		{"a negative interval", func(c *Config) { c.SyncInterval = -1 }, "sync interval"},
		{"a malformed bind address", func(c *Config) { c.Bind = "a:b:c" }, "bind address"},
		{"a bind port out of range", func(c *Config) { c.Bind = "127.0.0.1:70000" }, "port must be"},
		{"a bind address of another machine", func(c *Config) { c.Bind = "192.0.2.1:0" }, "listening for peers"},
		{"all IPv6 interfaces without an advertise address", func(c *Config) { c.Bind = "[::]:0" }, "advertise"},
		{"an unspecified advertise address", func(c *Config) { c.Advertise = "0.0.0.0:0" }, "cannot reach"},
		{"an RPC address of another machine", func(c *Config) { c.RPCAddr = "192.0.2.1:0" }, "--rpc-addr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := Start(cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestTagsUpToTheLimitAreAccepted(t *testing.T) {
	for n := 500; n < 520; n++ {
		tags := map[string]string{"k": strings.Repeat("v", n)}
		pool, err := Start(Config{Name: "a", Bind: "127.0.0.1:0", Tags: maps.Clone(tags)})
		if err != nil {
			require.ErrorContains(t, err, "tags take 513 bytes", "the first tags that are refused are one byte too long")
			return
		}
		require.Equal(t, tags, pool.Members()[0].Tags)
		require.NoError(t, pool.Shutdown())
	}
	t.Fatal("nothing was refused")
}

func TestSplitAddr(t *testing.T) {
	for _, c := range []struct {
		in, host string
		port     uint16
	}{
		{"127.0.0.1:1", "127.0.0.1", 1}, {"a.example", "a.example", 7946}, {":5", "d", 5}, {"", "d", 7946},
		{"[::1]:5", "::1", 5}, {"[::1]", "::1", 7946}, {"h:0", "h", 0}, {"h:", "h", 7946},
	} {
		host, port, err := splitAddr("bind", c.in, "d", DefaultPort)
		require.NoError(t, err, c.in)
		require.Equal(t, c.host, host, c.in)
		require.Equal(t, c.port, port, c.in)
	}
	for _, bad := range []string{"::1", "h:x", "h:-1", "[::1"} {
		_, _, err := splitAddr("bind", bad, "d", DefaultPort)
		require.ErrorContains(t, err, "bind address", bad)
	}
}
