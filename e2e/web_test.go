package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/test/office"
)

// harbour is an office, and the programs of its organisation.
type harbour struct {
	*office.Office
	t *testing.T
}

// until is when its certificates end.
func until() time.Time { return time.Now().Add(20 * time.Hour) }

// client is a program that knows this authority alone, and shows a certificate of it; "" for none.
func (o *harbour) client(name string, units ...string) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(o.Cert)
	terms := &tls.Config{RootCAs: roots}
	if name != "" {
		pair, err := tls.X509KeyPair(o.Issue(name, x509.ExtKeyUsageClientAuth, until(), units...))
		require.NoError(o.t, err)
		terms.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: terms, DisableKeepAlives: true}}
}

// A browser, and a program of an organisation that has an authority of its own, talk to a broker of a city by certificates as they know
// them. SIGHUP takes others; the brokers' own links, and the command line, are as ever.
func TestCertificatesOfOnesOwn(t *testing.T) {
	first, second := &harbour{office.New(t), t}, &harbour{office.New(t), t}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	install := func(o *harbour) {
		cert, key := o.Issue("van-1", x509.ExtKeyUsageServerAuth, until())
		for name, text := range map[string][]byte{"cert": cert, "key": key, "ca": o.Authority()} {
			require.NoError(t, os.WriteFile(at(name), text, 0o600))
		}
	}
	install(first)
	founder, a := beginCity(t, "--tls-cert", at("cert"), "--tls-key", at("key"), "--tls-ca", at("ca"))
	b := startAgentAt(t, "b", filepath.Join(dir, "b"), 1, "--invite", founder.invite(a, "--name", "b"))
	founder.sees(a, "a", "b")
	founder.sees(b, "a", "b")

	ask := func(c *http.Client, method, path, body string) (int, string) {
		req, err := http.NewRequest(method, "https://"+a.http+path, strings.NewReader(body))
		require.NoError(t, err)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := c.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(text)
	}
	status, text := ask(first.client(""), "GET", "/v1/members", "")
	require.Equal(t, http.StatusForbidden, status, text)
	kim := first.client("kim")
	status, text = ask(kim, "PUT", "/v1/jobs/hers", `{"command":"true"}`)
	require.Contains(t, []int{http.StatusCreated, http.StatusAccepted}, status, text)
	status, text = ask(kim, "GET", "/v1/jobs/hers", "")
	require.Equal(t, http.StatusOK, status, text)
	require.Contains(t, text, `"submitter":"kim"`)
	status, text = ask(kim, "PUT", "/v1/members/b/drain", "")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "kim (client, by a certificate) may read,submit")
	lee := first.client("lee", "operator")
	for _, method := range []string{"PUT", "DELETE"} {
		status, text = ask(lee, method, "/v1/members/b/drain", "")
		require.Equal(t, http.StatusOK, status, text)
	}
	require.Contains(t, founder.must("--addr", a.http, "status"), "certificate that browsers are shown (--tls-cert) ends on")

	install(second)
	require.NoError(t, a.Cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, time.Minute, "what was changed is told", func() bool { return strings.Contains(a.Said(), "the certificate, which ends on") })
	eventually(t, time.Minute, "the other office's certificates count", func() bool {
		resp, err := second.client("max").Get("https://" + a.http + "/v1/members")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	_, err := kim.Get("https://" + a.http + "/v1/members")
	require.ErrorContains(t, err, "certificate")
	founder.sees(a, "a", "b")
	founder.sees(b, "a", "b")

	require.NoError(t, os.WriteFile(at("cert"), []byte("nonsense"), 0o600))
	require.NoError(t, a.Cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, time.Minute, "the mistake is told", func() bool { return strings.Contains(a.Said(), "nothing was changed") })
	status, text = ask(second.client("max"), "GET", "/v1/members", "")
	require.Equal(t, http.StatusOK, status, text)
}
