package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/urban-compute/ucp/canon"
)

// Member is who this process is: its key, its admission, and the authorities that it knows.
type Member struct {
	Key         Key
	Admission   *Admission
	Authorities *Authorities
}

// Check reports what is wrong with a member: its key has to be the admitted one, and its admission one that its
// authorities let stand.
func (m *Member) Check() error {
	if m.Admission.Key != m.Key.Public() {
		return fmt.Errorf("identity: the key of %s is not the one that was admitted", m.Admission.Name)
	}
	return m.Authorities.Verify(m.Admission)
}

// Credential is what a member shows on a connection.
type Credential struct {
	Admission   *Admission
	Authorities *Authorities // that it knows
}

// extension is where a certificate holds the credential, under the arc for experiments.
var extension = asn1.ObjectIdentifier{1, 3, 6, 1, 3, 117, 99, 112, 1}

// maxCredential bounds a credential, in bytes.
const maxCredential = maxAdmission + maxAuthorities + 64

type encodedCredential struct {
	Admission   []byte `codec:"admission"`
	Authorities []byte `codec:"authorities"`
}

// Encode is the credential as a certificate holds it.
func (c *Credential) Encode() []byte {
	return canon.Encode(encodedCredential{c.Admission.Encode(), c.Authorities.Encode()})
}

// DecodeCredential reads a credential. Its admission may be by somebody who is no authority.
func DecodeCredential(b []byte) (*Credential, error) {
	if len(b) > maxCredential {
		return nil, fmt.Errorf("identity: credential of %d bytes, at most %d are allowed", len(b), maxCredential)
	}
	var e encodedCredential
	if err := canon.Decode(b, &e); err != nil {
		return nil, fmt.Errorf("identity: credential: %w", err)
	}
	admission, err := DecodeAdmission(e.Admission)
	if err != nil {
		return nil, err
	}
	authorities, err := DecodeAuthorities(e.Authorities)
	if err != nil {
		return nil, err
	}
	return &Credential{admission, authorities}, nil
}

// Certificate makes the certificate that the member shows. It signs it itself: what counts is the credential in it. It
// never expires, since its peers may have no clock to tell.
func (m *Member) Certificate() (tls.Certificate, error) {
	c := Credential{m.Admission, m.Authorities}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: m.Admission.Name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{m.Admission.Name}, ExtraExtensions: []pkix.Extension{{Id: extension, Value: c.Encode()}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, m.Key.private.Public(), m.Key.private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("identity: making the certificate of %s: %w", m.Admission.Name, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: m.Key.private}, nil
}

// CredentialOf returns what the other side of a connection has shown. That it has the key the handshake has proved.
func CredentialOf(s *tls.ConnectionState) (*Credential, error) {
	if len(s.PeerCertificates) == 0 {
		return nil, errNoCertificate
	}
	cert := s.PeerCertificates[0]
	key, is := cert.PublicKey.(ed25519.PublicKey)
	if !is {
		return nil, errNoMember
	}
	for _, x := range cert.Extensions {
		if !isCredential(x) {
			continue
		}
		c, err := DecodeCredential(x.Value)
		if err == nil && c.Admission.Key != PublicKey(key) {
			err = fmt.Errorf("identity: the certificate shows the admission of %s with another key than was admitted", c.Admission.Name)
		}
		return c, err
	}
	return nil, errNoMember
}

var (
	errNoCertificate = errors.New("identity: no certificate was shown")
	errNoMember      = errors.New("identity: the certificate is of no member of a city")
)

// isCredential reports whether an extension of a certificate holds a credential.
func isCredential(x pkix.Extension) bool { return x.Id.Equal(extension) }

// Trust decides about credentials.
type Trust interface {
	// Verify returns why a credential is not one of a member of the city, or nil.
	Verify(*Credential) error
}

// verify checks a credential: these authorities, and those that it adds to them, decide.
func (a *Authorities) verify(c *Credential) error {
	all, _, err := a.Merge(c.Authorities)
	if err != nil {
		return err
	}
	return all.Verify(c.Admission)
}

// Verify implements Trust for a member.
func (m *Member) Verify(c *Credential) error { return m.Authorities.verify(c) }

// Verify implements Trust for who knows no more of a city than its pin: the credential's own authorities decide.
func (p Pin) Verify(c *Credential) error {
	if c.Authorities.City().Pin() != p {
		return errors.New("identity: this is another city than the one that the code is of")
	}
	return c.Authorities.Verify(c.Admission)
}

// Shown returns the certificate that a process shows now; it changes as the process learns of authorities.
type Shown func() *tls.Certificate

// ServerConfig is for a listener that shows a certificate, and takes connections with and without one. Who shows one
// belongs to the city, or has it of an authority that web names, or there is no connection. web says what there is for
// programs that know nothing of cities, and may return nil.
func ServerConfig(own Shown, trust Trust, web func() *Web) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if cert := web().shown(hello); cert != nil {
				return cert, nil
			}
			return own(), nil
		},
		ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(s tls.ConnectionState) (err error) {
			switch {
			case len(s.PeerCertificates) == 0:
			case isMember(&s):
				_, err = verified(&s, trust)
			default:
				_, err = web().CertifiedOf(&s, time.Now())
			}
			return err
		},
	}
}

// ClientConfig is for connections to brokers of the city, whatever their names and addresses. With own nil it shows no
// certificate.
func ClientConfig(own Shown, trust Trust) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1", ofCity},
		InsecureSkipVerify: true, // no name and no authority of the web's: VerifyConnection decides
		VerifyConnection: func(s tls.ConnectionState) error {
			c, err := verified(&s, trust)
			if err == nil && c.Admission.Role != Broker {
				err = fmt.Errorf("identity: %s is no broker, but %s", c.Admission.Name, c.Admission.Role)
			}
			return err
		},
	}
	if own != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own(), nil }
	}
	return cfg
}

func verified(s *tls.ConnectionState, trust Trust) (*Credential, error) {
	c, err := CredentialOf(s)
	if err != nil {
		return nil, err
	}
	return c, trust.Verify(c)
}
