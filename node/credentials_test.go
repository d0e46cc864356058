package node

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/identity"
)

// What a broker has shown is read once for a certificate; another certificate is never taken for it.
func TestShownCredentialsAreRemembered(t *testing.T) {
	f := city.Of(t.TempDir())
	first, err := city.Found(f, nil, city.Founding{Broker: "a", At: time.UnixMilli(5), Keyring: func(path string) error { return os.WriteFile(path, nil, 0o600) }})
	require.NoError(t, err)
	by, err := f.Authority("")
	require.NoError(t, err)
	key, err := identity.NewKey(rand.Reader)
	require.NoError(t, err)
	a, err := by.Admit(first.Admission.City, "b", key.Public(), identity.Broker, time.UnixMilli(7), 0)
	require.NoError(t, err)
	second := &identity.Member{Key: key, Admission: a, Authorities: first.Authorities}
	state := func(m *identity.Member) *tls.ConnectionState {
		shown, err := m.Certificate()
		require.NoError(t, err)
		cert, err := x509.ParseCertificate(shown.Certificate[0])
		require.NoError(t, err)
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	}
	var k credentials
	one, two := state(first), state(second)
	got, err := k.of(one, "x")
	require.NoError(t, err)
	require.Equal(t, "a", got.Admission.Name)
	again, err := k.of(one, "x")
	require.NoError(t, err)
	require.Same(t, got, again)
	other, err := k.of(two, "x")
	require.NoError(t, err)
	require.Equal(t, "b", other.Admission.Name)
	_, err = k.of(&tls.ConnectionState{}, "x")
	require.Error(t, err)
	_, err = k.of(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("no member's")}}}, "x")
	require.Error(t, err)
	other, err = k.of(two, "x")
	require.NoError(t, err)
	require.Equal(t, "b", other.Admission.Name)
}
