package gossip_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
)

const rpcKey = "four words are enough"

func guarded(c *gossip.Config) { c.RPCAddr, c.RPCAuth = "127.0.0.1:0", rpcKey }

// The stock command line gives the key with -rpc-auth, and nothing works without it.
func TestRPCAuth(t *testing.T) {
	p := startReal(t, "a", guarded)
	for _, args := range [][]string{{"members"}, {"leave"}, {"event", "x"}, {"monitor"}, {"info"}, {"members", "-rpc-auth=wrong"}, {"leave", "-rpc-auth=" + rpcKey + "x"}} {
		out, err := serf(t, p, args...)
		require.Error(t, err, "%v: %s", args, out)
		require.Contains(t, out, "uthentication", args)
	}
	select {
	case <-p.Done():
		t.Fatal("a client without the key has made the node leave")
	default:
	}
	out, err := serf(t, p, "members", "-rpc-auth="+rpcKey)
	require.NoError(t, err, out)
	require.Contains(t, out, "alive")
	out, err = serf(t, p, "event", "-rpc-auth="+rpcKey, "x")
	require.NoError(t, err, out)

	_, err = gossip.Start(gossip.Config{Name: "b", Bind: "127.0.0.1:0", RPCAddr: "127.0.0.1:0", RPCAuth: "short"})
	require.ErrorContains(t, err, "at least 16")
}

// The commands that this package answers itself are none for who has not given the key, and end its connection.
func TestRPCWithoutTheKey(t *testing.T) {
	p := startReal(t, "a", guarded)
	for _, command := range []string{"leave", "stream", "stop", "respond", "event", "members", ""} {
		t.Run(command, func(t *testing.T) {
			t.Parallel() // each waits for the end of its connection
			conn, err := net.Dial("tcp", p.RPCAddr())
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			enc := codec.NewEncoder(conn, &codec.MsgpackHandle{})
			require.NoError(t, enc.Encode(map[string]any{"Command": "handshake", "Seq": 1}))
			require.NoError(t, enc.Encode(map[string]any{"Version": 1, "Command": "auth"})) // a body is no request
			require.NoError(t, enc.Encode(map[string]any{"Command": command, "Seq": 2}))
			dec := codec.NewDecoder(conn, &codec.MsgpackHandle{})
			var answer struct {
				Seq   uint64
				Error string
			}
			require.NoError(t, dec.Decode(&answer))
			require.Empty(t, answer.Error)
			require.NoError(t, dec.Decode(&answer))
			require.Equal(t, uint64(2), answer.Seq, command)
			require.Equal(t, "Authentication required", answer.Error, command)
			require.ErrorIs(t, dec.Decode(&answer), io.EOF, command) // a moment later
			require.NoError(t, conn.Close())
		})
	}
}
