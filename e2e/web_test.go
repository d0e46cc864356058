package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// office makes certificates as an organisation does that has an authority of its own.
type office struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newOffice(t *testing.T) *office {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "harbour office"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &office{t, cert, key}
}

// issue makes a certificate and its key, in PEM.
func (o *office) issue(name string, use x509.ExtKeyUsage, units ...string) (cert, key []byte) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(o.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, OrganizationalUnit: units}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(20 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, o.cert, &k.PublicKey, o.key)
	require.NoError(o.t, err)
	text, err := x509.MarshalECPrivateKey(k)
	require.NoError(o.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}

// client is a program that knows this authority alone, and shows a certificate of it; "" for none.
func (o *office) client(name string, units ...string) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(o.cert)
	terms := &tls.Config{RootCAs: roots}
	if name != "" {
		pair, err := tls.X509KeyPair(o.issue(name, x509.ExtKeyUsageClientAuth, units...))
		require.NoError(o.t, err)
		terms.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: terms, DisableKeepAlives: true}}
}

// A browser, and a program of an organisation that has an authority of its own, talk to a broker of a city by certificates as they know
// them. SIGHUP takes others; the brokers' own links, and the command line, are as ever.
func TestCertificatesOfOnesOwn(t *testing.T) {
	first, second := newOffice(t), newOffice(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	install := func(o *office) {
		cert, key := o.issue("van-1", x509.ExtKeyUsageServerAuth)
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.cert.Raw})
		for name, text := range map[string][]byte{"cert": cert, "key": key, "ca": ca} {
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
