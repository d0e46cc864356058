package city

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/trust"
)

// Self is this process as a member of a city. It learns of authorities from the certificates of those it talks to; a broker's
// also learns all that authorities have said from the replicated table ([Self.Learn]). Its methods may be called by several
// goroutines at once.
type Self struct {
	folder    Folder
	name      string // of the city, for people
	log       *slog.Logger
	admission *identity.Admission

	opening sync.Mutex // held while a passphrase is tried, which takes a second and 256 MiB

	mu      sync.Mutex
	key     identity.Key
	book    *trust.Book
	cert    *tls.Certificate
	open    map[*tls.Conn]*identity.Credential // connections that end when who is at the other side belongs no more
	revoked revoked                            // see revoked.go
	fallen  bool                               // that this member belongs to the city no more was said
	splits  []string                           // that were said
	met     map[string][]*identity.Admission   // those of brokers that were shown here and verified, by name
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
	s := &Self{folder: f, name: name, log: log, admission: m.Admission, key: m.Key, book: trust.NewBook(m.Authorities), cert: &cert, open: map[*tls.Conn]*identity.Credential{}}
	return s, s.recall()
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
	return s.book.Authorities()
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
	all, _, err := s.book.Authorities().Merge(c.Authorities)
	if err != nil {
		return err
	}
	if err := all.Verify(c.Admission); err != nil {
		return err
	}
	if err := s.learn(c.Authorities); err != nil {
		return err
	}
	err = s.book.Verify(c.Admission)
	if err == nil {
		s.meet(c.Admission)
	}
	return err
}

// Learn takes in what authorities have said: who falls by it is cut off.
func (s *Self) Learn(proofs ...*identity.Proof) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.learn(nil, proofs...); err != nil {
		s.log.Error("what an authority is said to have said was not taken in", "error", err)
	}
}

// learn takes in what is known of the authorities, nil for nothing, and what they have said; the lock is held.
func (s *Self) learn(a *identity.Authorities, proofs ...*identity.Proof) error {
	news, err := s.book.Learn(a, proofs...)
	if err != nil {
		return err
	}
	if news {
		s.adopted()
	}
	if !news && len(proofs) == 0 {
		return nil
	}
	if slices.ContainsFunc(proofs, func(p *identity.Proof) bool { _, is := p.Statement.(*identity.Revocation); return is }) {
		s.revoked = revocationsOf(s.book.Revocations(), maxRevocations)
	}
	s.closeFallen()
	if err := s.book.Verify(s.admission); err != nil && !s.fallen {
		s.fallen = true
		s.log.Error("this member belongs to the city no more", "name", s.admission.Name, "error", err)
	}
	for _, split := range s.book.Splits() {
		if text := split.String(); !slices.Contains(s.splits, text) {
			s.splits = append(s.splits, text)
			s.log.Error(text)
		}
	}
	return nil
}

// Splits says which names were given to two keys by authorities that did not know of each other, for people.
func (s *Self) Splits() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, split := range s.book.Splits() {
		out = append(out, split.String())
	}
	return out
}

// known is what was said of the name that somebody who arrives has, or wants where that is "": the greatest number, 0 for
// nothing; and whether their key is not admitted any more.
func (s *Self) known(name string, a Arrival) (last uint64, barred bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Last(cmp.Or(name, a.Name)), s.book.Barred(a.Key)
}

// Gone reports whether the membership of a name was revoked, and nobody has the name since.
func (s *Self) Gone(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Gone(name)
}

// Announce is what a broker says of itself when it starts, so that all know whose its name is, and of whom the city began with, and
// the operators that were made on its disk since.
func (s *Self) Announce() (out []*identity.Proof) {
	admissions, err := s.folder.founders()
	if err != nil {
		s.log.Error("who was admitted as the city began can't be read", "error", err)
	}
	operators, err := s.folder.operators()
	if err != nil {
		s.log.Error("the operators that were made on this machine can't be read", "error", err)
	}
	for _, a := range slices.Concat(admissions, operators, []*identity.Admission{s.admission}) {
		if p, err := s.Authorities().Prove(a); err == nil { // else it belongs to the city no more
			out = append(out, p)
		}
	}
	return out
}

// Stands returns why a credential that was verified before is not one of a member any more, or nil.
func (s *Self) Stands(c *identity.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Verify(c.Admission)
}

// Holder is the admission of who has a name now; nil where nobody is known to have it.
func (s *Self) Holder(name string) *identity.Admission {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Holder(name)
}

// Unseal decrypts a secret that was encrypted to this member ([identity.Seal]).
func (s *Self) Unseal(sealed []byte) (*identity.Secret, error) { return s.key.Unseal(sealed) }

// Revoked tells up to when the tokens of a subject are revoked; zero is not at all.
func (s *Self) Revoked(subject string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if upto := s.book.TokensUpto(subject); upto > 0 {
		return time.UnixMilli(int64(upto))
	}
	return time.Time{}
}

// IsBroker returns why a credential is not that of the broker with a name, or nil.
func (s *Self) IsBroker(c *identity.Credential, name string) error {
	if c.Admission.Role != identity.Broker || c.Admission.Name != name {
		return fmt.Errorf("this is %s (%s), not the broker %.80s", c.Admission.Name, c.Admission.Role, name)
	}
	return s.Stands(c)
}

// adopted shows and keeps authorities that were learnt; the lock is held. What can't be written is learnt again.
func (s *Self) adopted() {
	all := s.book.Authorities()
	m := identity.Member{Key: s.key, Admission: s.admission, Authorities: all}
	cert, err := m.Certificate()
	if err != nil {
		s.log.Error("the authorities of the city have changed, and no certificate can be made", "error", err)
		return
	}
	s.cert = &cert
	if err := s.folder.KeepAuthorities(all); err != nil {
		s.log.Error("the authorities of the city have changed, and can't be kept", "error", err)
	}
	s.log.Info("the authorities of the city have changed", "city", s.CityName(), "authorities", len(all.Keys()))
}
