package gossip_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
)

// keysIn reads the file of a keyring.
func keysIn(t *testing.T, path string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &list))
	return list
}

// The owner replaces a keyring as a whole: it holds for what is sent from then on, and lies in the file, which others still can't
// read. What is no keyring changes nothing (rule G4).
func TestSetKeys(t *testing.T) {
	path, old := keyring(t)
	_, second := keyring(t)
	_, third := keyring(t)
	p := startReal(t, "a", func(c *gossip.Config) { c.Keyring = path })
	require.Equal(t, []string{old}, p.Keys())
	for _, bad := range [][]string{nil, {}, {second, "x"}, {strings.Repeat("a", 100_000)}} {
		changed, err := p.SetKeys(bad)
		require.Error(t, err)
		require.False(t, changed)
		require.Equal(t, []string{old}, p.Keys())
	}
	for _, list := range [][]string{{second, old}, {old, second}, {third, second}, {third}, {old, second, third}, {third}} {
		changed, err := p.SetKeys(list)
		require.NoError(t, err)
		require.True(t, changed)
		require.Equal(t, list[0], p.Keys()[0])
		require.ElementsMatch(t, list, p.Keys())
		require.Equal(t, p.Keys(), keysIn(t, path))
	}
	changed, err := p.SetKeys([]string{third})
	require.NoError(t, err)
	require.False(t, changed)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{path}, files, "nothing is left of what was on its way")

	plain := startReal(t, "b", nil)
	require.Nil(t, plain.Keys())
	_, err = plain.SetKeys([]string{third})
	require.Error(t, err)
}

// The owner is told of each order about keys when it is answered, and of nothing else; by then the file holds what was ordered.
func TestOrdersAboutKeysAreTold(t *testing.T) {
	path, old := keyring(t)
	_, next := keyring(t)
	var orders atomic.Int32
	p := startReal(t, "a", func(c *gossip.Config) {
		c.Keyring, c.RPCAddr, c.KeysOrdered = path, "127.0.0.1:0", func() { orders.Add(1) }
	})
	for i, step := range []struct {
		arg  string
		want []string
	}{{"-install=" + next, []string{old, next}}, {"-use=" + next, []string{next, old}}, {"-remove=" + old, []string{next}}} {
		out, err := serf(t, p, "keys", step.arg)
		require.NoError(t, err, out)
		require.Equal(t, step.want, keysIn(t, path))
		eventually(t, "the order is told", func() bool { return orders.Load() == int32(i+1) })
	}
	for _, other := range []string{"members", "info"} {
		out, err := serf(t, p, other)
		require.NoError(t, err, out)
	}
	out, err := serf(t, p, "keys", "-list")
	require.NoError(t, err, out)
	require.EqualValues(t, 3, orders.Load())
}

// RPC is served on a socket as well, and on it alone; where a key is asked for, it is there, too.
func TestRPCSocket(t *testing.T) {
	for _, port := range []string{"", "127.0.0.1:0"} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		require.NoError(t, err)
		p := startReal(t, "a", func(c *gossip.Config) { c.RPCAddr, c.RPCSocket, c.RPCAuth = port, l, rpcKey })
		require.Equal(t, port == "", p.RPCAddr() == "")
		ask := func(key string) (answer struct{ Error string }) {
			conn, err := net.Dial("unix", path)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			var b bytes.Buffer
			enc := codec.NewEncoder(&b, &codec.MsgpackHandle{})
			require.NoError(t, enc.Encode(map[string]any{"Command": "handshake", "Seq": 1}))
			require.NoError(t, enc.Encode(map[string]any{"Version": 1}))
			require.NoError(t, enc.Encode(map[string]any{"Command": "auth", "Seq": 2}))
			require.NoError(t, enc.Encode(map[string]any{"AuthKey": key}))
			_, err = conn.Write(b.Bytes())
			require.NoError(t, err)
			dec := codec.NewDecoder(conn, &codec.MsgpackHandle{})
			require.NoError(t, dec.Decode(&answer))
			require.Empty(t, answer.Error)
			require.NoError(t, dec.Decode(&answer))
			return answer
		}
		require.Empty(t, ask(rpcKey).Error)
		require.NotEmpty(t, ask(rpcKey+"x").Error)
		if port != "" {
			out, err := serf(t, p, "members", "-rpc-auth="+rpcKey)
			require.NoError(t, err, out)
		}
		p.stop()
		_, err = net.Dial("unix", path)
		require.Error(t, err)
	}
}
