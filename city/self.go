package city

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/urban-compute/ucp/identity"
)

// Self is this process as a member of a city. It learns of authorities from the certificates of those it talks to. Its
// methods may be called by several goroutines at once.
type Self struct {
	folder    Folder
	name      string // of the city, for people
	log       *slog.Logger
	admission *identity.Admission

	mu     sync.Mutex
	member *identity.Member
	cert   *tls.Certificate
	open   map[*tls.Conn]*identity.Credential // connections that end when who is at the other side belongs no more
}

// Open reads who this process is from a folder. It is [identity.ErrNoIdentity] where that is nobody.
func Open(f Folder, log *slog.Logger) (*Self, error) {
	m, err := f.Member()
	if err != nil {
		return nil, err
	}
	cert, err := m.Certificate()
	if err != nil {
		return nil, err
	}
	name, err := f.CityName()
	if err != nil {
		return nil, err
	}
	return &Self{folder: f, name: name, log: log, admission: m.Admission, member: m, cert: &cert, open: map[*tls.Conn]*identity.Credential{}}, nil
}

// Name is this member's name.
func (s *Self) Name() string { return s.admission.Name }

// Role is what this member may be.
func (s *Self) Role() identity.Role { return s.admission.Role }

// Folder is where the identity lies.
func (s *Self) Folder() Folder { return s.folder }

// GivenName is the name that people gave the city; "" for none.
func (s *Self) GivenName() string { return s.name }

// CityName is the name that people gave the city, else the beginning of its own.
func (s *Self) CityName() string {
	if s.name != "" {
		return s.name
	}
	return s.admission.City.String()[:12]
}

// Authorities are those that this process knows of.
func (s *Self) Authorities() *identity.Authorities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member.Authorities
}

func (s *Self) shown() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert
}

// Verify implements [identity.Trust]: the authorities that are known here decide, and those that the credential adds to
// them, which are kept if it stands.
func (s *Self) Verify(c *identity.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, news, err := s.member.Authorities.Merge(c.Authorities)
	if err != nil {
		return err
	}
	if err := all.Verify(c.Admission); err != nil {
		return err
	}
	if news {
		s.adopt(all)
	}
	return nil
}

// Stands returns why a credential that was verified before is not one of a member any more, or nil.
func (s *Self) Stands(c *identity.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member.Authorities.Verify(c.Admission)
}

// Revoked tells up to when the tokens of a subject are revoked; zero is not at all.
func (s *Self) Revoked(string) time.Time { return time.Time{} }

// IsBroker returns why a credential is not that of the broker with a name, or nil.
func (s *Self) IsBroker(c *identity.Credential, name string) error {
	if c.Admission.Role != identity.Broker || c.Admission.Name != name {
		return fmt.Errorf("this is %s (%s), not the broker %.80s", c.Admission.Name, c.Admission.Role, name)
	}
	return s.Stands(c)
}

// adopt takes in authorities; the lock is held. What can't be written is learnt again.
func (s *Self) adopt(all *identity.Authorities) {
	m := *s.member
	m.Authorities = all
	cert, err := m.Certificate()
	if err != nil {
		s.log.Error("the authorities of the city have changed, and no certificate can be made", "error", err)
		return
	}
	s.member, s.cert = &m, &cert
	if err := s.folder.KeepAuthorities(all); err != nil {
		s.log.Error("the authorities of the city have changed, and can't be kept", "error", err)
	}
	s.log.Info("the authorities of the city have changed", "city", s.CityName(), "authorities", len(all.Keys()))
	s.closeFallen()
}
