package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/urban-compute/ucp/label"
)

// ofCity is what a client says in its handshake that wants to see a member's certificate, as all of ucp do (ALPN, RFC 7301). It
// never becomes the protocol of a connection.
const ofCity = "ucp-city"

// Web is what a broker of a city has for programs that know nothing of cities: a certificate that browsers take, and the authority of
// an organisation whose members show certificates of its own. It does not change; nil has neither.
type Web struct {
	cert *tls.Certificate // nil: they are shown the member's
	ca   *x509.CertPool   // nil: certificates of nobody but members are taken
}

// ReadWeb reads the files, in PEM: of a certificate, with those of the authorities between it and the root behind it, and its key, and
// those of authorities whose certificates clients may show. "" is none; without any it returns nil. A certificate comes with its key.
func ReadWeb(cert, key, ca string) (*Web, error) {
	if cert == "" && key == "" && ca == "" {
		return nil, nil
	}
	w := &Web{}
	if cert != "" || key != "" {
		if cert == "" || key == "" {
			return nil, errors.New("a certificate and its key belong together: give both files")
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("the certificate in %s, with its key in %s: %w", cert, key, err)
		}
		w.cert = &pair
	}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		if w.ca = x509.NewCertPool(); !w.ca.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in it, in PEM", ca)
		}
	}
	return w, nil
}

// Ends is when the certificate that browsers are shown ends; zero where there is none.
func (w *Web) Ends() time.Time {
	if w == nil || w.cert == nil {
		return time.Time{}
	}
	return w.cert.Leaf.NotAfter
}

// Others says what is another than in w before: "the certificate, which ends on 2027-01-01", "the authorities", both or nothing.
func (w *Web) Others(before *Web) (what []string) {
	if before == nil {
		before = &Web{}
	}
	if w == nil {
		w = &Web{}
	}
	der := func(w *Web) [][]byte {
		if w.cert == nil {
			return nil
		}
		return w.cert.Certificate
	}
	switch is := der(w); {
	case slices.EqualFunc(is, der(before), bytes.Equal):
	case is == nil:
		what = append(what, "no certificate")
	default:
		what = append(what, "the certificate, which ends on "+w.Ends().UTC().Format(time.DateOnly))
	}
	if !w.ca.Equal(before.ca) {
		what = append(what, "the authorities")
	}
	return what
}

// shown is the certificate for a client, nil for the member's.
func (w *Web) shown(hello *tls.ClientHelloInfo) *tls.Certificate {
	if w == nil || slices.Contains(hello.SupportedProtos, ofCity) {
		return nil
	}
	return w.cert
}

// Certified is who shows a certificate of one's own authority.
type Certified struct {
	Name string // the certificate's common name
	Role Role   // Operator where one of its organisational units is "operator", else Client
	Ends time.Time
}

// CertifiedOf returns who shows a certificate of an authority whose word counts here. That the other side has its key the handshake has
// proved. now is by this machine's clock: such certificates begin and end.
func (w *Web) CertifiedOf(s *tls.ConnectionState, now time.Time) (*Certified, error) {
	if len(s.PeerCertificates) == 0 {
		return nil, errNoCertificate
	}
	if w == nil || w.ca == nil {
		return nil, errNoMember
	}
	leaf, between := s.PeerCertificates[0], x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: w.ca, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, fmt.Errorf("identity: the certificate is of no member of this city, nor of an authority whose word counts here: %w", err)
	}
	if !label.ValidName(leaf.Subject.CommonName) {
		return nil, fmt.Errorf("identity: the certificate's common name, %.80q, is no name: letters, digits and . _ -, at most 64", leaf.Subject.CommonName)
	}
	c := &Certified{Name: leaf.Subject.CommonName, Role: Client, Ends: leaf.NotAfter}
	if slices.Contains(leaf.Subject.OrganizationalUnit, string(Operator)) {
		c.Role = Operator
	}
	return c, nil
}

// isMember reports whether a connection's other side has shown the certificate of a member, of whatever city.
func isMember(s *tls.ConnectionState) bool {
	return len(s.PeerCertificates) > 0 && slices.ContainsFunc(s.PeerCertificates[0].Extensions, isCredential)
}
