package identity

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var epoch = time.UnixMilli(1000)

func noWeb() *Web { return nil }

// shake lets two configurations meet; it returns who the server has seen, and how it ended on both sides.
func shake(t *testing.T, server, client *tls.Config) (seen *Credential, atServer, atClient error) {
	near, far := net.Pipe()
	defer near.Close()
	require.NoError(t, near.SetDeadline(time.Now().Add(10*time.Second))) // both ends may want to write, which a pipe lets neither of
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		conn := tls.Server(far, server)
		if atServer = conn.Handshake(); atServer != nil {
			return
		}
		if s := conn.ConnectionState(); len(s.PeerCertificates) > 0 {
			seen, atServer = CredentialOf(&s)
		}
		_, err := conn.Write([]byte("hello"))
		if atServer == nil {
			atServer = err
		}
	}()
	conn := tls.Client(near, client)
	if atClient = conn.Handshake(); atClient == nil {
		_, atClient = io.ReadFull(conn, make([]byte, 5))
	}
	near.Close()
	<-done
	return seen, atServer, atClient
}

func TestConnections(t *testing.T) {
	root, aside := keyOf(t, 1), keyOf(t, 2)
	city := FoundCity(root.Public())
	member := func(by Key, of *Authorities, name string, n int, role Role) *Member {
		k := keyOf(t, n)
		return &Member{k, must(by.Admit(of.City(), name, k.Public(), role, epoch, 0)), of}
	}
	certificate := func(m *Member) Shown {
		cert := must(m.Certificate())
		return func() *tls.Certificate { return &cert }
	}
	a, b := member(root, city, "a", 10, Broker), member(root, city, "b", 11, Broker)
	server := ServerConfig(certificate(a), a, noWeb)
	own := certificate(b)

	seen, atServer, atClient := shake(t, server, ClientConfig(own, b))
	require.NoError(t, atServer)
	require.NoError(t, atClient)
	require.Equal(t, b.Admission, seen.Admission)

	// Who knows the pin knows the city; who shows nothing is nobody.
	seen, atServer, atClient = shake(t, server, ClientConfig(nil, city.City().Pin()))
	require.NoError(t, atServer)
	require.NoError(t, atClient)
	require.Nil(t, seen)
	_, _, atClient = shake(t, server, ClientConfig(nil, CityOf(aside.Public()).Pin()))
	require.ErrorContains(t, atClient, "another city")

	// A second authority is taken from who shows it, by who has not heard of it.
	second := must(city.With(must(root.AddAuthority(city.City(), aside.Public()))))
	c := certificate(member(aside, second, "c", 12, Broker))
	seen, atServer, atClient = shake(t, server, ClientConfig(c, b))
	require.NoError(t, atServer)
	require.NoError(t, atClient)
	require.Equal(t, "c", seen.Admission.Name)
	// But not by who knows that it was removed.
	after := *a
	after.Authorities = must(second.With(must(root.RemoveAuthority(city.City(), aside.Public()))))
	_, atServer, atClient = shake(t, ServerConfig(certificate(&after), &after, noWeb), ClientConfig(c, b))
	require.ErrorContains(t, atServer, "no authority of this city")
	require.Error(t, atClient)

	stranger := member(aside, FoundCity(aside.Public()), "b", 13, Broker)
	forged := member(aside, city, "b", 14, Broker)
	thief := *b
	thief.Key = keyOf(t, 15) // it has seen b's admission, which is no secret
	for what, x := range map[string]*Member{"of another city": stranger, "by no authority": forged, "another key": &thief} {
		cert := certificate(x)
		_, atServer, atClient = shake(t, server, ClientConfig(cert, b))
		require.Error(t, atServer, what)
		require.Error(t, atClient, what)
		_, _, atClient = shake(t, ServerConfig(cert, x, noWeb), ClientConfig(own, b))
		require.Error(t, atClient, what)
		require.Error(t, (&Member{x.Key, x.Admission, city}).Check(), what)
	}

	// A client's key does not make a server.
	_, _, atClient = shake(t, ServerConfig(certificate(member(root, city, "a", 16, Client)), a, noWeb), ClientConfig(own, b))
	require.ErrorContains(t, atClient, "no broker")
	// Nothing older than TLS 1.3.
	old := ClientConfig(own, b)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	_, atServer, _ = shake(t, server, old)
	require.Error(t, atServer)
}
