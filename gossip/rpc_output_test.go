package gossip

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sink is a connection that records what is written to it.
type sink struct {
	net.Conn
	written bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) { return s.written.Write(p) }

// Our messages never end up inside one of the agent's.
func TestRPCOutputKeepsMessagesWhole(t *testing.T) {
	s := &sink{}
	o := &rpcOutput{conn: s}
	piece := strings.Repeat("a", agentBuffer)
	write := func(text string) {
		n, err := o.fromAgent([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
	}
	send := func(text string) bool {
		fits, err := o.send([]byte(text))
		require.NoError(t, err)
		return fits
	}
	require.True(t, send("<1>"))
	write("short.")
	require.True(t, send("<2>"))
	write(piece)
	require.True(t, send("<3>"))
	write(piece + piece)
	require.True(t, send("<4>"))
	write("end.")
	require.True(t, send("<5>"))
	require.Equal(t, "<1>short.<2>"+piece+piece+piece+"end.<3><4><5>", s.written.String())

	write(piece)
	require.False(t, send(strings.Repeat("x", maxHeldBack+1)), "the bytes that wait are bounded")
}
