package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Probes hear whether a broker is alive or ready by the exit code, with TLS or without, and show nothing of who asks.
func TestHealth(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" && r.Header.Get("Authorization") == "" {
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"code":"unavailable","error":"still joining the cluster"}`))
	})
	plain, secure := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer plain.Close()
	defer secure.Close()
	for _, server := range []*httptest.Server{plain, secure} {
		s := newShell(t)
		s.env["UCP_ADDR"] = server.Listener.Addr().String()
		got := s.run("health")
		require.Equal(t, "alive\n", got.out, got.errOut)
		require.Zero(t, got.code)
		got = s.run("health", "--ready")
		require.Equal(t, 1, got.code)
		require.Contains(t, got.errOut, "still joining the cluster")
	}
	mute := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer mute.Close()
	got := newShell(t).run("health", "--timeout", "20ms", "--addr", strings.TrimPrefix(mute.URL, "http://"))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "no answer for 20ms")
}
