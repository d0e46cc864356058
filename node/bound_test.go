package node

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An address that the machine loses is told once, and so is that it is back; what is bound on all addresses, on loopback, by
// a name, or was never the machine's, is not missed.
func TestBoundAddresses(t *testing.T) {
	var out bytes.Buffer
	b := newBound(slog.New(slog.NewTextHandler(&out, nil)), &Config{Bind: "10.0.0.2:7946", HTTPAddr: "10.0.0.2:8000", RPCAddr: "-"})
	two, three := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	require.False(t, b.look([]netip.Addr{three}), "it has never been there")
	require.Empty(t, b.lost())
	require.False(t, b.look([]netip.Addr{two}))
	require.Empty(t, out.String())
	for range 3 {
		require.False(t, b.look([]netip.Addr{three, netip.MustParseAddr("127.0.0.1")}))
		require.Equal(t, "nobody reaches this broker: its machine has lost the address of --bind 10.0.0.2", b.lost())
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "%s", &out)
	require.Contains(t, out.String(), "has=[10.0.0.3]")
	require.True(t, b.look([]netip.Addr{two}))
	require.False(t, b.look([]netip.Addr{two}))
	require.Empty(t, b.lost())
	require.Equal(t, 2, strings.Count(out.String(), "\n"), "%s", &out)

	b = newBound(slog.New(slog.DiscardHandler), &Config{Bind: "0.0.0.0:7946", HTTPAddr: "[::1]:8000", RPCAddr: "van-1.example:7373"})
	require.Empty(t, b.addrs)
	b = newBound(slog.New(slog.DiscardHandler), &Config{Bind: "127.0.0.1:7946", HTTPAddr: "10.0.0.3:8000"})
	require.Len(t, b.addrs, 1)
}

func TestAdvertisedName(t *testing.T) {
	for addr, want := range map[string]string{"": "", "10.0.0.2:7946": "", "[2001:db8::2]:0": "", "van-1.example:7950": "van-1.example"} {
		name, _ := (&Config{Advertise: addr}).advertisedName()
		require.Equal(t, want, name, addr)
	}
	_, port := (&Config{Advertise: "van-1.example:7950"}).advertisedName()
	require.Equal(t, "7950", port)
}
