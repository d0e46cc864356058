package gossip_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
)

// startReal starts a pool on real loopback sockets, at ports that the kernel
// chooses. It exchanges states every 200 ms.
func startReal(t *testing.T, name string, change func(*gossip.Config)) *node {
	t.Helper()
	n := &node{quit: make(chan struct{})}
	n.set("state of " + name)
	cfg := gossip.Config{
		Name: name, Bind: "127.0.0.1:0", State: n.snapshot, SyncInterval: 200 * time.Millisecond,
		Tags: map[string]string{"ucp": "1"},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	n.Pool, err = gossip.Start(cfg)
	require.NoError(t, err)
	n.owner.Go(n.receive)
	t.Cleanup(n.stop)
	return n
}

// eventually waits, in real time, until cond is true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 20*time.Second, 20*time.Millisecond, what)
}

// This test fails when a new version of memberlist or Serf no longer lets us install our
// delegate, or takes our trailer for its own data. See doc.go then.
func TestOurStateAndSerfsStateBothGetThrough(t *testing.T) {
	a, b := startReal(t, "a", nil), startReal(t, "b", nil)
	require.NoError(t, a.UserEvent("before", []byte("in Serf's own state")))
	n, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	eventually(t, "states of the join", func() bool { return a.received("state of b") && b.received("state of a") })

	a.set("changed")
	eventually(t, "the changed state, by push-pull", func() bool { return b.received("changed") })

	// Serf's own push-pull state: tags, members, Lamport clocks.
	require.NoError(t, a.SetTags(map[string]string{"ucp": "1", "new": "tag"}))
	eventually(t, "tags", func() bool { return b.Members()[0].Tags["new"] == "tag" })
	require.NoError(t, b.UserEvent("after", []byte("hello")))
	eventually(t, "events", func() bool { return strings.Contains(strings.Join(a.eventLog(), ";"), "user after hello") })
	require.Zero(t, a.Stats().StatesMalformed+b.Stats().StatesMalformed)
}

func TestEphemeralPortServesPacketsAndStreams(t *testing.T) {
	a := startReal(t, "a", func(c *gossip.Config) { c.RPCAddr = "127.0.0.1:0" })
	host, port, err := net.SplitHostPort(a.Addr())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	require.NotEqual(t, "0", port)
	conn, err := net.Dial("tcp", a.Addr())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = net.ListenPacket("udp", a.Addr())
	require.ErrorContains(t, err, "in use")
	conn, err = net.Dial("tcp", a.RPCAddr())
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	_, err = gossip.Start(gossip.Config{Name: "b", Bind: a.Addr()})
	require.ErrorContains(t, err, "in use")
	require.ErrorContains(t, err, a.Addr())
	_, err = gossip.Start(gossip.Config{Name: "b", Bind: "127.0.0.1:0", RPCAddr: a.RPCAddr()})
	require.ErrorContains(t, err, "in use", "its gossip port is closed again; otherwise goleak finds its readers")
	require.NoError(t, a.Shutdown())
	_, err = net.DialTimeout("tcp", a.Addr(), time.Second)
	require.ErrorContains(t, err, "refused")
}

func TestAdvertiseIsWhatPeersUse(t *testing.T) {
	a := startReal(t, "a", func(c *gossip.Config) { c.Bind, c.Advertise = "0.0.0.0:0", "127.0.0.1:0" })
	host, port, err := net.SplitHostPort(a.Addr())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	require.NotEqual(t, "0", port, "the port bound")
	b := startReal(t, "b", nil)
	_, err = a.Join(t.Context(), []string{b.Addr()})
	require.NoError(t, err)
	eventually(t, "b knows a by this address", func() bool { return b.Members()[0].Addr == a.Addr() })

	c := startReal(t, "c", func(c *gossip.Config) { c.Advertise = "localhost:12345" })
	require.Contains(t, []string{"127.0.0.1:12345", "[::1]:12345"}, c.Addr(), "a name is looked up; the port is kept")
}

func TestIPv6(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6 loopback")
	}
	require.NoError(t, probe.Close())
	on6 := func(c *gossip.Config) { c.Bind, c.RPCAddr = "[::1]:0", "[::1]:0" }
	a, b := startReal(t, "a", on6), startReal(t, "b", on6)
	require.True(t, strings.HasPrefix(a.Addr(), "[::1]:"), a.Addr())
	require.True(t, strings.HasPrefix(a.RPCAddr(), "[::1]:"), a.RPCAddr())
	n, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	eventually(t, "states", func() bool { return a.received("state of b") && b.received("state of a") })
	require.Equal(t, a.Addr(), b.Members()[0].Addr)
}

// A peer that does not answer in the middle of a push-pull must not delay a shutdown.
func TestShutdownDoesNotWaitForStreams(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	a := startReal(t, "a", nil)
	joined := make(chan error, 1)
	go func() {
		_, err := a.Join(t.Context(), []string{l.Addr().String()})
		joined <- err
	}()
	mute, err := l.Accept()
	require.NoError(t, err)
	defer func() { _ = mute.Close() }()
	hanging, err := net.Dial("tcp", a.Addr())
	require.NoError(t, err)
	defer func() { _ = hanging.Close() }()

	began := time.Now()
	require.NoError(t, a.Shutdown())
	require.Error(t, <-joined)
	require.Less(t, time.Since(began), 3*time.Second, "memberlist alone would wait 10 s for each of the two")
}

// Garbage that is sent to the ports changes nothing and ends nothing.
func TestGarbageFromOutside(t *testing.T) {
	a := startReal(t, "a", func(c *gossip.Config) { c.RPCAddr = "127.0.0.1:0" })
	udp, err := net.Dial("udp", a.Addr())
	require.NoError(t, err)
	defer func() { _ = udp.Close() }()
	for i := range 256 {
		_, err := udp.Write([]byte{byte(i), 0xff, 0x81, 0xa1})
		require.NoError(t, err)
	}
	for _, addr := range []string{a.Addr(), a.RPCAddr()} {
		for i := range 64 {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			_, _ = conn.Write([]byte{byte(4 * i), 0xdb, 0xff, 0xff, 0xff, 0xff, 1})
			require.NoError(t, conn.Close())
		}
	}
	b := startReal(t, "b", nil)
	_, err = b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	eventually(t, "a still works", func() bool { return b.received("state of a") })
}

// Config.State is called on several goroutines, while the state changes.
func TestManyPoolsUnderRace(t *testing.T) {
	const size = 8
	var nodes []*node
	for i := range size {
		n := startReal(t, string(rune('a'+i)), nil)
		nodes = append(nodes, n)
		if i > 0 {
			_, err := n.Join(t.Context(), []string{nodes[i-1].Addr()})
			require.NoError(t, err)
		}
	}
	var events atomic.Int32
	eventually(t, "all alive and some states", func() bool {
		for i, n := range nodes {
			n.set("busy " + time.Now().String())
			_ = n.UserEvent("x", []byte{byte(i)})
			events.Add(1)
			_, _ = n.RTT("a")
			_ = n.Stats()
			if alive(n) != size || n.Stats().StatesReceived < 3 {
				return false
			}
		}
		return true
	})
}

// Whoever finds only itself, under another of its addresses, has joined nobody (rule S6).
func TestJoiningOneselfReachesNobody(t *testing.T) {
	a := startReal(t, "a", func(c *gossip.Config) { c.Bind, c.Advertise = "0.0.0.0:0", "127.0.0.1:0" })
	_, port, err := net.SplitHostPort(a.Addr())
	require.NoError(t, err)
	other := net.JoinHostPort("127.0.0.2", port)
	n, err := a.Join(t.Context(), []string{a.Addr(), other})
	require.Zero(t, n)
	require.ErrorContains(t, err, "this node itself answers there")

	b := startReal(t, "b", nil)
	n, err = a.Join(t.Context(), []string{other, b.Addr()})
	require.NoError(t, err)
	require.Equal(t, 1, n, "b, and not itself")
	n, err = a.Join(t.Context(), []string{b.Addr()})
	require.NoError(t, err)
	require.Equal(t, 1, n, "b knows a already, and is not a")
}

// A node can be asked how it sees this one, and hears nothing of it by that (rule G3).
func TestSeenRight(t *testing.T) {
	a, b := startReal(t, "a", nil), startReal(t, "b", nil)
	right, answered := a.SeenRight(t.Context(), b.Addr())
	require.False(t, right, "b does not know it")
	require.True(t, answered)
	require.Len(t, b.Members(), 1)
	_, err := a.Join(t.Context(), []string{b.Addr()})
	require.NoError(t, err)
	// Who is joined answers with what it knew before, and takes in the news after that.
	eventually(t, "b sees a where it is", func() bool {
		right, answered := a.SeenRight(t.Context(), b.Addr())
		return right && answered
	})
	c := startReal(t, "a", nil) // elsewhere
	right, answered = c.SeenRight(t.Context(), b.Addr())
	require.False(t, right, "b sees a at another address")
	require.True(t, answered)
	require.NoError(t, b.Shutdown())
	_, answered = a.SeenRight(t.Context(), b.Addr())
	require.False(t, answered)
}

// A pool that is bound to 0.0.0.0 takes nothing in by IPv6, though its sockets are open there.
func TestIPv4Alone(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6 loopback")
	}
	_, port, err := net.SplitHostPort(probe.Addr().String())
	require.NoError(t, err)
	require.NoError(t, probe.Close())
	startReal(t, "a", func(c *gossip.Config) { c.Bind, c.Advertise = "0.0.0.0:"+port, "127.0.0.1:"+port })
	ping := []byte{0, 0x82, 0xa5, 'S', 'e', 'q', 'N', 'o', 1, 0xa4, 'N', 'o', 'd', 'e', 0xa1, 'a'} // memberlist's
	answers := func(network, host string) bool {
		conn, err := net.Dial(network, net.JoinHostPort(host, port))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Second)))
		_, err = conn.Write(ping)
		require.NoError(t, err)
		n, err := conn.Read(make([]byte, 100))
		return err == nil && n > 0
	}
	for _, network := range []string{"tcp", "udp"} {
		require.True(t, answers(network, "127.0.0.1"), network)
		require.False(t, answers(network, "::1"), network)
	}
}
