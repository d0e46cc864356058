package gossip

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeTransport has a packet waiting, as after a quick restart.
type fakeTransport struct {
	Transport
	packets chan *Packet
	streams chan net.Conn
	down    bool
}

func newFake() *fakeTransport {
	f := &fakeTransport{packets: make(chan *Packet, 1), streams: make(chan net.Conn, 1)}
	f.packets <- &Packet{Buf: []byte("early")}
	return f
}

func (f *fakeTransport) PacketCh() <-chan *Packet  { return f.packets }
func (f *fakeTransport) StreamCh() <-chan net.Conn { return f.streams }
func (f *fakeTransport) Shutdown() error           { f.down = true; return nil }
func (f *fakeTransport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.IPv4zero, 1, nil
}
func (f *fakeTransport) WriteToAddress([]byte, Address) (time.Time, error) {
	return time.Time{}, errors.New("sent")
}

// What comes in before Serf is complete must wait, or Serf would dereference nil pointers.
func TestNothingComesInBeforeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newFake()
		a, b := net.Pipe()
		inner.streams <- a
		tr := newTransport(inner, testSift(), seal{}, func() error { return nil })
		packet, stream := make(chan *Packet), make(chan net.Conn)
		go func() { packet <- <-tr.PacketCh() }()
		go func() { stream <- <-tr.StreamCh() }()
		time.Sleep(time.Hour)
		require.Empty(t, tr.ready)
		select {
		case <-packet:
			t.Fatal("a packet came in")
		case <-stream:
			t.Fatal("a stream came in")
		default:
		}
		tr.open()
		require.Equal(t, "early", string((<-packet).Buf))
		require.NotNil(t, <-stream)
		require.NoError(t, tr.Shutdown())
		_, err := b.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "the stream is closed by the shutdown")
	})
}

func TestDelegatesAreInstalledOnce(t *testing.T) {
	calls := 0
	tr := newTransport(newFake(), testSift(), seal{}, func() error { calls++; return nil })
	for range 3 {
		_, _, err := tr.FinalAdvertiseAddr("", 0)
		require.NoError(t, err)
	}
	require.Equal(t, 1, calls)
	require.NoError(t, tr.Shutdown())

	tr = newTransport(newFake(), testSift(), seal{}, func() error { return io.ErrUnexpectedEOF })
	for range 2 {
		_, _, err := tr.FinalAdvertiseAddr("", 0)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "each call returns the error")
	}
	require.NoError(t, tr.Shutdown())
}

// A shutdown works before open, and when nothing receives.
func TestTransportShutdown(t *testing.T) {
	inner := newFake()
	tr := newTransport(inner, testSift(), seal{}, func() error { return nil })
	_, err := tr.WriteTo(nil, "x")
	require.ErrorContains(t, err, "sent")
	require.NoError(t, tr.Shutdown())
	require.NoError(t, tr.Shutdown())
	require.True(t, inner.down)
	_, err = tr.WriteTo(nil, "x")
	require.NoError(t, err, "the packet is dropped silently")
	a, _ := net.Pipe()
	_, err = tr.streams.track(a, false)
	require.ErrorIs(t, err, net.ErrClosed)
}
