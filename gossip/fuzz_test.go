package gossip

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is let in of a packet is let in as a whole: nothing more is taken out of it the second time.
func FuzzSiftPacket(f *testing.F) {
	dead, err := encodeWire(wireDead, &accusation{Incarnation: 1 << 31, Node: "a", From: "b"})
	require.NoError(f, err)
	ping, err := encodeWire(wirePing, &pingRequest{SeqNo: 1, Node: "me"})
	require.NoError(f, err)
	for _, seed := range [][]byte{dead, ping, {wireCompound, 2, 0, 1, 0, 1, 0, 0}, {wireCompress, 0x80}, {wireCRC, 0, 0, 0, 0}, {8, serfEvent, 0x80}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		passed := testSift().packet(bytes.Clone(b))
		if len(passed) > 0 {
			require.Equal(t, passed, testSift().packet(bytes.Clone(passed)))
		}
	})
}

// The first message of a stream is passed on as it came, or refused, or encoded again so that it passes.
func FuzzSiftStream(f *testing.F) {
	whole := pushPull{nodes: []pushPullNode{{Name: "a", Addr: []byte{10, 0, 0, 1}, Incarnation: 1 << 31}}}
	seed, err := whole.encode()
	require.NoError(f, err)
	f.Add(seed, false)
	f.Add([]byte{wireCompress, 0x80}, true)
	f.Add([]byte{wirePushPull, 0x80, 0x80}, true)
	f.Fuzz(func(t *testing.T, b []byte, asked bool) {
		passed, err := testSift().stream(&recorder{r: bufio.NewReader(bytes.NewReader(b))}, asked)
		if err != nil || len(passed) == 0 {
			return
		}
		again, err := testSift().stream(&recorder{r: bufio.NewReader(bytes.NewReader(passed))}, asked)
		require.NoError(t, err)
		require.Equal(t, passed, again)
	})
}

// SetReadDeadline implements net.Conn: nobody who has typed all already is late.
func (*typed) SetReadDeadline(time.Time) error { return nil }

// typed is a client of the RPC port that sends what it sends, and reads nothing.
type typed struct {
	net.Conn
	in *bytes.Reader
}

func (c *typed) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *typed) Write(b []byte) (int, error) { return len(b), nil }
func (c *typed) Close() error                { return nil }

// Whatever a client of the RPC port sends, its handler gets values of bounded size, and an end.
func FuzzRPCRequests(f *testing.F) {
	for _, commands := range [][]any{
		{rpcHeader{"handshake", 0}, struct{ Version int }{1}, rpcHeader{"stream", 1}, rpcStream{"user:a,query,*"}, rpcHeader{"stop", 2}, rpcStop{1}},
		{rpcHeader{"handshake", 0}, struct{ Version int }{1}, rpcHeader{"event", 1}, rpcEvent{Name: queryPrefix + "x"}, rpcHeader{"respond", 2}, rpcRespond{ID: 7}},
		{rpcHeader{"handshake", 0}, struct{ Version int }{1}, rpcHeader{"leave", 1}, rpcHeader{"stats", 2}},
	} {
		seed, err := encodeRPC(commands...)
		require.NoError(f, err)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var life lifecycle
		life.init()
		close(life.left) // who asks it to leave does not wait
		stats := &counters{}
		s := &rpcServer{life: &life, stats: stats, conns: map[*rpcConn]bool{}, listening: map[*rpcConn]struct{}{}, changed: make(chan struct{}, 1), stopped: make(chan struct{})}
		c := newRPCConn(&typed{in: bytes.NewReader(b)}, s)
		defer func() { require.NoError(t, c.Close()) }()
		for total := 0; ; {
			n, err := c.Read(make([]byte, 4096))
			if err != nil {
				require.False(t, errors.Is(err, io.ErrNoProgress))
				return
			}
			total += n
			require.LessOrEqual(t, total, 4*len(b)+1024, "a request is passed on as it came, or as another of its kind")
		}
	})
}
