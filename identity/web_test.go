package identity

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/test/office"
)

// organisation is an office whose certificates lie in files.
type organisation struct {
	*office.Office
	t   *testing.T
	dir string
}

func organise(t *testing.T) *organisation {
	o := &organisation{office.New(t), t, t.TempDir()}
	o.write("ca", o.Authority())
	return o
}

func (o *organisation) write(name string, text []byte) string {
	path := filepath.Join(o.dir, name)
	require.NoError(o.t, os.WriteFile(path, text, 0o600))
	return path
}

// issue makes a certificate, and returns its file and that of its key.
func (o *organisation) issue(name string, use x509.ExtKeyUsage, ends time.Time, units ...string) (certFile, keyFile string) {
	cert, key := o.Issue(name, use, ends, units...)
	return o.write(name+".pem", cert), o.write(name+".key", key)
}

// Programs that know nothing of cities are shown a certificate that they know, and members still see a member. Who shows one of an
// authority that was named is taken for what stands in it; nobody else is.
func TestWeb(t *testing.T) {
	root := keyOf(t, 1)
	city := FoundCity(root.Public())
	broker := &Member{keyOf(t, 10), must(root.Admit(city.City(), "a", keyOf(t, 10).Public(), Broker, epoch, 0)), city}
	shown := must(broker.Certificate())
	own := func() *tls.Certificate { return &shown }
	office, stranger := organise(t), organise(t)
	tomorrow := time.Now().Add(23 * time.Hour)
	cert, key := office.issue("van-1", x509.ExtKeyUsageServerAuth, tomorrow)
	web := must(ReadWeb(cert, key, filepath.Join(office.dir, "ca")))
	require.WithinDuration(t, tomorrow, web.Ends(), time.Second)
	server := ServerConfig(own, broker, func() *Web { return web })

	roots := x509.NewCertPool()
	roots.AddCert(office.Cert)
	browser := func() *tls.Config { return &tls.Config{RootCAs: roots, ServerName: "van-1.local"} }
	_, atServer, atClient := shake(t, server, browser())
	require.NoError(t, atServer)
	require.NoError(t, atClient)
	seen, _, atClient := shake(t, server, ClientConfig(own, broker))
	require.NoError(t, atClient, "a member sees a member")
	require.Equal(t, "a", seen.Admission.Name)
	_, _, atClient = shake(t, ServerConfig(own, broker, noWeb), browser())
	require.Error(t, atClient, "without it nobody knows the certificate of a member")

	with := func(cert, key string) *tls.Config {
		c := browser()
		c.Certificates = []tls.Certificate{must(tls.LoadX509KeyPair(cert, key))}
		return c
	}
	who := func(cert, key string) (*Certified, error) {
		leaf := must(tls.LoadX509KeyPair(cert, key)).Leaf
		return web.CertifiedOf(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, time.Now())
	}
	for _, c := range []struct {
		by    *organisation
		name  string
		use   x509.ExtKeyUsage
		ends  time.Time
		units []string
		role  Role
		wrong string
	}{
		{office, "kim", x509.ExtKeyUsageClientAuth, tomorrow, nil, Client, ""},
		{office, "lee", x509.ExtKeyUsageClientAuth, tomorrow, []string{"night", "operator"}, Operator, ""},
		{office, "van-9", x509.ExtKeyUsageClientAuth, tomorrow, []string{"broker"}, Client, ""},
		{office, "late", x509.ExtKeyUsageClientAuth, time.Now().Add(-time.Minute), nil, "", "expired"},
		{office, "server", x509.ExtKeyUsageServerAuth, tomorrow, nil, "", "incompatible key usage"},
		{office, "kim of the harbour", x509.ExtKeyUsageClientAuth, tomorrow, nil, "", "is no name"},
		{stranger, "kim", x509.ExtKeyUsageClientAuth, tomorrow, nil, "", "whose word counts here"},
	} {
		cert, key := c.by.issue(c.name, c.use, c.ends, c.units...)
		_, atServer, _ := shake(t, server, with(cert, key))
		got, err := who(cert, key)
		if c.wrong != "" {
			require.ErrorContains(t, atServer, c.wrong)
			require.ErrorContains(t, err, c.wrong)
			continue
		}
		require.ErrorIs(t, atServer, errNoMember, "no credential: %s", c.name) // by shake itself; the handshake is over
		require.NoError(t, err)
		require.Equal(t, c.name, got.Name)
		require.Equal(t, c.role, got.Role)
	}
	_, err := web.CertifiedOf(&tls.ConnectionState{}, time.Now())
	require.ErrorIs(t, err, errNoCertificate)
	cert, key = office.issue("kim", x509.ExtKeyUsageClientAuth, tomorrow)
	anything := with(cert, key)
	anything.InsecureSkipVerify = true
	_, atServer, _ = shake(t, ServerConfig(own, broker, noWeb), anything)
	require.ErrorIs(t, atServer, errNoMember)
}

func TestReadWeb(t *testing.T) {
	office := organise(t)
	cert, key := office.issue("van-1", x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	_, other := office.issue("van-2", x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	w, err := ReadWeb("", "", "")
	require.NoError(t, err)
	require.Nil(t, w)
	require.Zero(t, w.Ends())
	for wrong, files := range map[string][3]string{
		"belong together":         {cert, "", ""},
		"give both files":         {"", key, ""},
		"private key does not":    {cert, other, ""},
		"there is no certificate": {"", "", key},
		"no such file":            {"", "", "/nowhere"},
		"no such":                 {"/nowhere", key, ""},
		"with its key in " + key:  {key, key, ""},
	} {
		_, err := ReadWeb(files[0], files[1], files[2])
		require.ErrorContains(t, err, wrong)
	}

	// What a reload tells.
	first, same := must(ReadWeb(cert, key, "")), must(ReadWeb(cert, key, ""))
	next, nextKey := office.issue("van-1", x509.ExtKeyUsageServerAuth, time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC))
	second := must(ReadWeb(next, nextKey, filepath.Join(office.dir, "ca")))
	require.Empty(t, same.Others(first))
	require.Equal(t, []string{"the certificate, which ends on 2030-01-02", "the authorities"}, second.Others(first))
	require.Equal(t, []string{"no certificate", "the authorities"}, w.Others(second))
	require.Len(t, second.Others(nil), 2)
	require.Empty(t, w.Others(nil))
}
