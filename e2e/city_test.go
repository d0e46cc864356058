package e2e

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// person is somebody who uses the command line, with an identity of their own or none.
type person struct {
	t   *testing.T
	dir string
}

func (p *person) environment() []string {
	return append(os.Environ(), "HOME="+p.dir, "XDG_CONFIG_HOME=", "UCP_IDENTITY="+filepath.Join(p.dir, "identity"))
}

// ucp runs a command line of theirs.
func (p *person) ucp(args ...string) result {
	p.t.Helper()
	return runIn(p.t, p.dir, p.environment(), nil, ucpBinary, args...)
}

// must is ucp for what has to succeed; it returns what was printed.
func (p *person) must(args ...string) string {
	p.t.Helper()
	r := p.ucp(args...)
	require.Equal(p.t, 0, r.code, "ucp %v: %s", args, r.stderr)
	return r.stdout
}

// insecure is a program that takes any certificate for good, and has none itself.
func insecure() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// A city begins on one machine: its broker speaks TLS with members only, and who is none is told so (rule X5).
func TestACityBegins(t *testing.T) {
	founder, stranger := &person{t, t.TempDir()}, &person{t, t.TempDir()}
	dir := filepath.Join(founder.dir, "a")
	secret := filepath.Join(founder.dir, "passphrase")
	require.NoError(t, os.WriteFile(secret, []byte("seven dry wells\n"), 0o600))
	require.Contains(t, founder.must("cluster", "init", "--city", "riverside", "--name", "a", "--data-dir", dir, "--passphrase-file", secret), "a city has begun")
	key, err := os.ReadFile(filepath.Join(dir, "identity", "authority"))
	require.NoError(t, err)
	require.Contains(t, string(key), "age-encryption.org", "the authority's key is encrypted")
	r := founder.ucp("cluster", "init", "--name", "a", "--data-dir", dir)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "holds an identity already")

	a := startAgent(t, "a", dir)
	require.Contains(t, founder.must("--addr", a.http, "members"), "a *")
	founder.must("--addr", a.http, "run", guestModule, "--", "sleep", "1ms")

	r = stranger.ucp("--addr", a.http, "members")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "belongs to a city")
	other := filepath.Join(stranger.dir, "other")
	stranger.must("cluster", "init", "--name", "other", "--data-dir", other)
	r = stranger.ucp("--addr", a.http, "members")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "authorities of another city")

	plain := startAgent(t, "plain", t.TempDir())
	r = founder.ucp("--addr", plain.http, "members")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "belongs to no city")
	require.Contains(t, founder.must("--addr", "http://"+plain.http, "members"), "plain *")

	// A stock browser or program without an identity, that takes any certificate, has nothing but that the broker is alive.
	get := func(path string) (int, string) {
		resp, err := insecure().Get("https://" + a.http + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	status, _ := get("/healthz")
	require.Equal(t, http.StatusOK, status)
	for _, path := range []string{"/v1/members", "/metrics", "/broker/debug", "/v1/jobs", "/nothing"} {
		status, body := get(path)
		require.Equal(t, http.StatusForbidden, status, path)
		require.Contains(t, body, `"code":"`+api.CodeForbidden+`"`)
	}
}
