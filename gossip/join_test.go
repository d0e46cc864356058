package gossip_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who joins at the port of something else is told what that may be: by how a real HTTP server answers gossip, and by a program that hangs
// up.
func TestWhatAnswersIsExplained(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	rude, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = rude.Close() })
	go func() { // until it is closed
		for {
			c, err := rude.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<16))
			_ = c.Close()
		}
	}()
	p := startReal(t, "a", nil)
	n, err := p.Join(t.Context(), []string{web.Listener.Addr().String()})
	require.Zero(t, n)
	require.ErrorContains(t, err, "an HTTP server answers there; name the port of its gossip, which is 7946")
	n, err = p.Join(t.Context(), []string{rude.Addr().String()})
	require.Zero(t, n)
	require.ErrorContains(t, err, "what answers there has hung up")
}
