package node

import (
	"crypto/tls"
	"crypto/x509"
	"sync"

	"github.com/urban-compute/ucp/identity"
)

// credentials remembers what each broker has shown last: to read it takes a check of each signature in it, as long as the message that it comes
// with takes otherwise. The zero value is empty; any goroutine may use it.
type credentials struct {
	mu   sync.Mutex
	last map[string]shownBy // by the broker's name
}

type shownBy struct {
	cert *x509.Certificate // of a connection, which has one as long as it lasts
	cred *identity.Credential
}

// of returns what the other side of a connection, which answers for the broker with that name, has shown in its handshake.
func (k *credentials) of(s *tls.ConnectionState, name string) (*identity.Credential, error) {
	if len(s.PeerCertificates) == 0 {
		return identity.CredentialOf(s)
	}
	cert := s.PeerCertificates[0]
	k.mu.Lock()
	last := k.last[name]
	k.mu.Unlock()
	if cert.Equal(last.cert) {
		return last.cred, nil
	}
	cred, err := identity.CredentialOf(s)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last == nil {
		k.last = map[string]shownBy{}
	}
	k.last[name] = shownBy{cert, cred}
	return cred, nil
}
