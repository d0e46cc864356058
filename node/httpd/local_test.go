package httpd

import (
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// connectedOver makes both ends of a connection.
func connectedOver(t *testing.T, network, addr string) (near, far net.Conn) {
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	far, err = net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = far.Close() })
	near, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = near.Close() })
	return near, far
}

// The kernel says whose process is at the other end, over a socket and over loopback, and only as long as that end is open: a
// table of it says root of one that was closed.
func TestOwnersOfConnections(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says")
	}
	own := uint32(os.Geteuid())
	near, _ := connectedOver(t, "unix", filepath.Join(t.TempDir(), "s"))
	require.Equal(t, &owner{uid: own, socket: true}, ownerOf(near))
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		if l, err := net.Listen("tcp", addr); err != nil {
			continue // without IPv6
		} else {
			require.NoError(t, l.Close())
		}
		near, far := connectedOver(t, "tcp", addr)
		require.Equal(t, &owner{uid: own}, ownerOf(near), addr)
		require.NoError(t, far.Close())
		require.Nil(t, ownerOf(near), addr)
	}
	for text, want := range map[string]string{
		"0100007F:1F40": "127.0.0.1:8000", "00000000000000000000000001000000:0050": "[::1]:80", "0000000000000000FFFF00000100007F:0001": "127.0.0.1:1",
	} {
		got, err := kernelAddr(text)
		require.NoError(t, err)
		require.Equal(t, netip.MustParseAddrPort(want), got)
	}
	for _, bad := range []string{"", ":", "0100007F", "0100007:0001", "0100007F0:0001", "x100007F:0001"} {
		_, err := kernelAddr(bad)
		require.Error(t, err, bad)
	}
}

// A broker that trusts its own user takes that user for an operator, and root over a socket; nobody else, and nobody at all
// unless it was told to.
func TestWhoIsTrustedOnThisMachine(t *testing.T) {
	for _, x := range []struct {
		of   *owner
		want bool
	}{
		{nil, false}, {&owner{uid: 7, socket: true}, true}, {&owner{uid: 7}, true}, {&owner{uid: 8, socket: true}, false}, {&owner{uid: 8}, false},
		{&owner{uid: 0, socket: true}, true}, {&owner{uid: 0}, false},
	} {
		require.Equal(t, x.want, x.of.trusts(7), "%+v", x.of)
	}
	srv, _ := inCity(t)
	near, _ := connectedOver(t, "unix", filepath.Join(t.TempDir(), "s"))
	permit := func(pattern string) error {
		_, err := srv.permit(pattern, httptest.NewRequestWithContext(connected(t.Context(), near), "GET", "/", nil))
		return err
	}
	require.Error(t, permit("GET /v1/members"))
	srv.cfg.TrustLocal = true
	if runtime.GOOS != "linux" {
		require.Error(t, permit("GET /v1/members"))
		return
	}
	for _, pattern := range []string{"GET /v1/members", "POST /v1/invites", "DELETE /v1/jobs/{id}"} {
		require.NoError(t, permit(pattern), pattern)
	}
	require.Error(t, permit("GET /broker/keyring"), "it is no broker")
	require.Error(t, permit("POST /broker/sync-metadata"))
	r := httptest.NewRequestWithContext(connected(t.Context(), near), "GET", "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	_, err := srv.permit("GET /v1/members", r)
	require.Error(t, err, "who shows a token wants to do no more than it allows")
}
