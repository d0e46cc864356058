package simnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/sim/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test with a network of hosts a and b in virtual time.
func bubble(t *testing.T, opt simnet.Options, test func(t *testing.T, n *simnet.Network, a, b *simnet.Host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(opt)
		defer n.Close()
		test(t, n, n.Host("a"), n.Host("b"))
	})
}

// connect returns both ends of a stream from a to b.
func connect(t *testing.T, a, b *simnet.Host) (here, there net.Conn) {
	t.Helper()
	l, err := b.Listen()
	require.NoError(t, err)
	here, err = a.Dial(t.Context(), "tcp", b.HTTPAddr())
	require.NoError(t, err)
	there, err = l.Accept()
	require.NoError(t, err)
	return here, there
}

func TestHostsHaveAddresses(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		require.Equal(t, "10.0.0.1:7946", a.GossipAddr())
		require.Equal(t, "10.0.0.2:8000", b.HTTPAddr())
		require.Same(t, a, n.Host("a"))
		for i := range 300 {
			n.Host(fmt.Sprint(i))
		}
		require.Equal(t, "10.0.1.46:8000", n.Host("299").HTTPAddr())
	})
}

func TestHTTPOverStreams(t *testing.T) {
	bubble(t, simnet.Options{Latency: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		l, err := b.Listen()
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(bytes.ToUpper(body))
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		client := &http.Client{Transport: &http.Transport{DialContext: a.Dial}}
		began := time.Now()
		big := bytes.Repeat([]byte("x"), 1<<20) // more than the window
		resp, err := client.Post("http://b:8000/", "text/plain", bytes.NewReader(big))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, bytes.ToUpper(big), body)
		require.GreaterOrEqual(t, time.Since(began), 40*time.Millisecond, "handshake and request take two round trips")
		client.CloseIdleConnections()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

func TestDialIsRefusedOrTimesOut(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		_, err := a.Dial(t.Context(), "tcp", b.HTTPAddr())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		_, err = a.Dial(t.Context(), "tcp", "10.9.9.9:8000")
		require.ErrorContains(t, err, "no such host")

		_, err = b.Listen()
		require.NoError(t, err)
		for name, silence := range map[string]func(){
			"cut":          func() { n.Cut(a, b) },
			"cut there":    func() { n.CutOneWay(a, b) },
			"cut back":     func() { n.CutOneWay(b, a) },
			"other groups": func() { n.Partition([]*simnet.Host{a}, []*simnet.Host{b}) },
			"crashed":      func() { b.Crash() },
		} {
			n.HealAll()
			silence()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			began := time.Now()
			_, err = a.Dial(ctx, "tcp", b.HTTPAddr())
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.Equal(t, 3*time.Second, time.Since(began), name)
			b.Restart()
			_, _ = b.Listen() // already open unless the host has crashed
		}
		n.Cut(a, b)
		began := time.Now()
		_, err = a.Dial(t.Context(), "tcp", b.HTTPAddr())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 2*time.Minute, time.Since(began))
	})
}

func TestDialWaitsForHeal(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		_, err := b.Listen()
		require.NoError(t, err)
		n.Cut(a, b)
		time.AfterFunc(7*time.Second, n.HealAll)
		began := time.Now()
		_, err = a.Dial(t.Context(), "tcp", b.HTTPAddr())
		require.NoError(t, err)
		require.Equal(t, 7*time.Second, time.Since(began))
	})
}

func TestStreamStallsWhileCut(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		here, there := connect(t, a, b)
		n.CutOneWay(a, b)
		_, err := here.Write([]byte("late"))
		require.NoError(t, err, "the bytes are buffered")
		_, err = there.Write([]byte("way back works"))
		require.NoError(t, err)
		buf := make([]byte, 64)
		got, err := here.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "way back works", string(buf[:got]))

		require.NoError(t, there.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = there.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout())

		require.NoError(t, there.SetReadDeadline(time.Time{}))
		time.AfterFunc(time.Minute, n.HealAll)
		got, err = there.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "late", string(buf[:got]))
	})
}

func TestCloseIsEOFAfterTheData(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		here, there := connect(t, a, b)
		_, err := here.Write([]byte("bye"))
		require.NoError(t, err)
		require.NoError(t, here.Close())
		require.NoError(t, here.Close(), "twice")
		_, err = here.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		all, err := io.ReadAll(there)
		require.NoError(t, err)
		require.Equal(t, "bye", string(all))
		_, err = there.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
}

func TestWriteWaitsForTheWindow(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		here, there := connect(t, a, b)
		require.NoError(t, here.SetWriteDeadline(time.Now().Add(time.Second)))
		sent, err := here.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 256<<10, sent)
		got, err := io.ReadFull(there, make([]byte, sent))
		require.NoError(t, err)
		require.Equal(t, sent, got)
	})
}

func TestCrashIsSilentUntilRestart(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		here, there := connect(t, a, b)
		b.Crash()
		_, err := there.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed, "the end on the crashed host is closed")
		_, err = b.Listen()
		require.ErrorContains(t, err, "down")
		require.NoError(t, here.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = here.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, here.SetReadDeadline(time.Time{}))
		b.Restart()
		_, err = here.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = b.Listen()
		require.NoError(t, err, "the port is free again")
	})
}

func TestListenerPortIsExclusiveUntilClosed(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		l, err := a.Listen()
		require.NoError(t, err)
		_, err = a.Listen()
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		waiting, err := b.Dial(t.Context(), "tcp", a.HTTPAddr())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = waiting.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET, "the stream was never accepted")
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = a.Listen()
		require.NoError(t, err)
	})
}

// packets sends count numbered packets and returns the numbers of those that arrive.
func packets(t *testing.T, from, to gossip.Transport, addr string, count int) (arrived []int) {
	t.Helper()
	for i := range count {
		_, err := from.WriteTo([]byte{byte(i >> 8), byte(i)}, addr)
		require.NoError(t, err)
	}
	time.Sleep(time.Second)
	for {
		select {
		case p := <-to.PacketCh():
			arrived = append(arrived, int(p.Buf[0])<<8|int(p.Buf[1]))
		default:
			return arrived
		}
	}
}

func transports(t *testing.T, a, b *simnet.Host) (ta, tb gossip.Transport) {
	t.Helper()
	ta, err := a.Transport()
	require.NoError(t, err)
	tb, err = b.Transport()
	require.NoError(t, err)
	return ta, tb
}

func TestPacketsAreLostBySeed(t *testing.T) {
	run := func(seed uint64) (arrived []int) {
		bubble(t, simnet.Options{Seed: seed, Loss: 0.3}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
			ta, tb := transports(t, a, b)
			arrived = packets(t, ta, tb, b.GossipAddr(), 500)
		})
		return arrived
	}
	one := run(1)
	require.InDelta(t, 350, len(one), 40)
	require.Len(t, run(1), len(one), "with the same seed as many packets are lost")
	require.NotEqual(t, one, run(2))
}

func TestJitterReordersPackets(t *testing.T) {
	bubble(t, simnet.Options{Seed: 1, Jitter: 50 * time.Millisecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		ta, tb := transports(t, a, b)
		arrived := packets(t, ta, tb, b.GossipAddr(), 100)
		require.Len(t, arrived, 100)
		require.False(t, slices.IsSorted(arrived))
	})
}

func TestPacketsObeyLinks(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		ta, tb := transports(t, a, b)
		n.CutOneWay(a, b)
		require.Empty(t, packets(t, ta, tb, b.GossipAddr(), 5))
		require.Len(t, packets(t, tb, ta, a.GossipAddr(), 5), 5)
		n.HealAll()
		require.Len(t, packets(t, ta, tb, b.GossipAddr(), 5), 5)
		n.Partition([]*simnet.Host{a, b})
		require.Len(t, packets(t, ta, tb, b.GossipAddr(), 5), 5)
		n.Partition([]*simnet.Host{b})
		require.Empty(t, packets(t, ta, tb, b.GossipAddr(), 5), "a is in no group")

		n.HealAll()
		_, err := ta.WriteTo([]byte("dies on its way"), b.GossipAddr())
		require.NoError(t, err)
		a.Crash()
		a.Restart()
		time.Sleep(time.Second)
		require.Empty(t, tb.PacketCh())
		_, err = ta.WriteTo(nil, b.GossipAddr())
		require.ErrorIs(t, err, net.ErrClosed, "the crash has closed the transport")
	})
}

func TestTransportIsExclusiveUntilShutdown(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Host) {
		ta, tb := transports(t, a, b)
		_, err := a.Transport()
		require.ErrorContains(t, err, "already open")
		conn, err := ta.DialTimeout(b.GossipAddr(), time.Second)
		require.NoError(t, err)
		in := <-tb.StreamCh()
		require.Equal(t, conn.LocalAddr(), in.RemoteAddr())
		require.NoError(t, ta.Shutdown())
		require.NoError(t, ta.Shutdown(), "twice")
		_, err = ta.DialTimeout(b.GossipAddr(), time.Second)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = a.Transport()
		require.NoError(t, err)
		n.Cut(a, b)
		_, err = tb.DialTimeout(a.GossipAddr(), time.Second)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}
