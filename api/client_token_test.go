package api

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A token is shown to who speaks TLS, and to nobody else.
func TestATokenIsNotSentInClear(t *testing.T) {
	var shown []string
	see := WithTransport(transport(func(r *http.Request) (*http.Response, error) {
		shown = append(shown, r.Header.Get("Authorization"))
		return answer(200, `{"members":[]}`), nil
	}))
	for addr, sent := range map[string]bool{"https://10.0.0.1:8000": true, "10.0.0.1:8000": false, "http://127.0.0.1:8000": false, "unix:/run/ucp.sock": true} {
		shown = nil
		c, err := New(addr, see, WithToken("ucp1.abc"))
		require.NoError(t, err)
		_, err = c.Members(t.Context())
		if sent {
			require.NoError(t, err, addr)
			require.Equal(t, []string{"Bearer ucp1.abc"}, shown, addr)
			continue
		}
		require.ErrorContains(t, err, "speaks no TLS", addr)
		require.NotContains(t, err.Error(), "abc")
		require.Empty(t, shown, addr)
	}
}

// A broker is reached by a socket of this machine.
func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ucp.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	var hosts []string
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts = append(hosts, r.Host)
		writeMembers(w)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	for _, addr := range []string{"unix:" + path, "unix://" + path} {
		c, err := New(addr)
		require.NoError(t, err)
		require.Equal(t, "unix:"+path, c.Addr())
		got, err := c.Members(t.Context())
		require.NoError(t, err)
		require.Len(t, got.Members, 2)
		require.NoError(t, c.Learn(t.Context()))
		require.Zero(t, c.others(), "it is one broker, and others would be asked by the network")
		c.Close()
	}
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-ended, http.ErrServerClosed)
	require.Equal(t, []string{"localhost", "localhost"}, hosts, "it has no name of its own")
	c, err := New("unix:" + path)
	require.NoError(t, err)
	_, err = c.Members(t.Context())
	require.ErrorContains(t, err, "no broker answers at unix:"+path)
	_, err = New("unix:")
	require.ErrorContains(t, err, "names no socket")
}

func writeMembers(w http.ResponseWriter) {
	_, _ = w.Write([]byte(`{"members":[{"name":"a","status":"alive","self":true},{"name":"b","status":"alive","http_addr":"10.0.0.2:8000"}]}`))
}
