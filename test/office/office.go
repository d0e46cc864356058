// Package office is an organisation, in tests, that has an authority of its own for certificates, and issues some to brokers and clients.
package office

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Office is one of them.
type Office struct {
	Cert *x509.Certificate // its authority's

	t   testing.TB
	key *ecdsa.PrivateKey
}

// Name is the name of the machine for which certificates hold, beside 127.0.0.1.
const Name = "van-1.local"

// New begins an office, with a key that nobody else has.
func New(t testing.TB) *Office {
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
	return &Office{cert, t, key}
}

// Authority is the certificate of its authority, in PEM.
func (o *Office) Authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Cert.Raw})
}

// Issue makes a certificate for a common name, a use and organisational units, until a time, and its key, both in PEM.
func (o *Office) Issue(name string, use x509.ExtKeyUsage, ends time.Time, units ...string) (cert, key []byte) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(o.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, OrganizationalUnit: units}, DNSNames: []string{Name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: ends, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, o.Cert, &k.PublicKey, o.key)
	require.NoError(o.t, err)
	text, err := x509.MarshalECPrivateKey(k)
	require.NoError(o.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}
