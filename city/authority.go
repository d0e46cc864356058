package city

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urban-compute/ucp/identity"
)

// What an operator asks of a broker at which the key of an authority lies. Each returns a statement of that authority, which
// counts as soon as it is in the replicated table.

// Errors of these, beside what is wrong with a question.
var (
	// ErrNoAuthority says that the key of no authority lies at a broker.
	ErrNoAuthority = errors.New("no authority's key lies at this broker: ask one that keeps one (`ucp cluster authority list`), or that where the city began (--addr)")
	// ErrUnknown says that nobody has a name, or a key.
	ErrUnknown = errors.New("no such member is known at this broker: ask the one that has let it in")
	// ErrNotAbove says that an authority may not do something, since it is not above another one.
	ErrNotAbove = errors.New("the authority at this broker is not above that one: ask a broker with one that is")
	// ErrItself says that a broker was asked to shut itself out.
	ErrItself = errors.New("this is the broker that was asked: ask another one")
)

// authority is the key of the authority at this broker, which is in force.
func (s *Self) authority(passphrase string) (identity.Key, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	key, err := s.folder.Authority(passphrase)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return key, ErrNoAuthority
	case err != nil:
		return key, err
	case s.Authorities().Removed(key.Public()):
		return key, fmt.Errorf("%w: the key that lies here, %s, was removed for good: start this broker again with --keep-authority, which makes another one, and say `ucp cluster authority add %s` at a broker with an authority", ErrNoAuthority, key.Public(), s.Name())
	case !s.Authorities().InForce(key.Public()):
		return key, fmt.Errorf("%w: the key that lies here, %s, is no authority of the city (`ucp cluster authority add %s`)", ErrNoAuthority, key.Public(), s.Name())
	}
	return key, nil
}

// KeepAuthority makes sure that a key lies at this broker that may become an authority's: another one, where that which lay there was
// removed. It returns its public half, "" where it is encrypted.
func (s *Self) KeepAuthority() (identity.PublicKey, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	key, err := s.folder.NewAuthority("")
	if errors.Is(err, identity.ErrLocked) {
		return "", nil
	}
	if err == nil && s.Authorities().Removed(key.Public()) {
		s.log.Info("the authority's key that lay at this broker was removed from the city for good: this is another one", "was", key.Public().String())
		key, err = s.folder.AnotherAuthority()
	}
	return key.Public(), err
}

// Kept is the public half of the authority's key that lies at this broker; "" where none does, or it is encrypted.
func (s *Self) Kept() identity.PublicKey {
	key, err := s.folder.Authority("")
	if err != nil {
		return ""
	}
	return key.Public()
}

// AddAuthority makes a key an authority of the city.
func (s *Self) AddAuthority(key identity.PublicKey, passphrase string) (*identity.Proof, error) {
	by, err := s.authority(passphrase)
	if err != nil {
		return nil, err
	}
	of := s.Authorities()
	c, err := by.AddAuthority(of.City(), key)
	if err != nil {
		return nil, err
	}
	next, err := of.With(c)
	if err != nil {
		return nil, err
	}
	if !next.InForce(key) {
		return nil, fmt.Errorf("%s was removed for good: a broker that keeps an authority's key makes another one as it starts (ucp agent --keep-authority)", key)
	}
	return of.Prove(c)
}

// RemoveAuthority ends that a key is an authority of the city, for good, and with it all that it has said.
func (s *Self) RemoveAuthority(key identity.PublicKey, passphrase string) (*identity.Proof, error) {
	by, err := s.authority(passphrase)
	if err != nil {
		return nil, err
	}
	of := s.Authorities()
	switch {
	case !of.InForce(key):
		return nil, fmt.Errorf("%w: %s is no authority of this city", ErrUnknown, key)
	case key == of.Root():
		return nil, fmt.Errorf("%w: nothing is above the root of a city", ErrNotAbove)
	case !of.Above(by.Public(), key):
		return nil, ErrNotAbove
	}
	c, err := by.RemoveAuthority(of.City(), key)
	if err != nil {
		return nil, err
	}
	if _, err := of.With(c); err != nil {
		return nil, err
	}
	return of.Prove(c)
}

// ParseKey reads a public key as it is printed, 64 hexadecimal digits.
func ParseKey(text string) (identity.PublicKey, error) {
	b, err := hex.DecodeString(text)
	if key := identity.PublicKey(b); err == nil && key.Valid() {
		return key, nil
	}
	return "", fmt.Errorf("%.80q is no key: 64 hexadecimal digits", text)
}

// Revoke ends the membership of a name, or of the key that is written so. Known reports whether a name is that of a broker that
// there is, or was.
func (s *Self) Revoke(who, passphrase string, now time.Time, known func(string) bool) (*identity.Proof, error) {
	name, key, upto, err := s.whom(who, now, known)
	if err != nil {
		return nil, err
	}
	by, err := s.authority(passphrase)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.book.Authorities()
	if a := s.book.Holder(name); a != nil && a.Number <= upto && !of.Above(by.Public(), a.By) {
		return nil, fmt.Errorf("%w: %s was admitted by %s", ErrNotAbove, name, a.By)
	}
	r, err := by.Revoke(of.City(), name, key, time.UnixMilli(int64(upto)), upto)
	if err != nil {
		return nil, err
	}
	return of.Prove(r)
}

// RevokeTokens ends the tokens of a subject that were made until then.
func (s *Self) RevokeTokens(subject, passphrase string, until time.Time) (*identity.Proof, error) {
	by, err := s.authority(passphrase)
	if err != nil {
		return nil, err
	}
	of := s.Authorities()
	r, err := by.RevokeTokens(of.City(), subject, until)
	if err != nil {
		return nil, err
	}
	return of.Prove(r)
}

// whom finds whose membership is to end: a name, its key where that is known, and up to which admission.
func (s *Self) whom(who string, now time.Time, known func(string) bool) (name string, key identity.PublicKey, upto uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, err := ParseKey(who); err == nil {
		a := s.book.Admission(key)
		switch {
		case a == nil:
			return "", "", 0, ErrUnknown
		case a.Key == s.admission.Key:
			return "", "", 0, ErrItself
		}
		return a.Name, a.Key, a.Number, nil
	}
	if who == s.admission.Name {
		return "", "", 0, ErrItself
	}
	a := s.book.Holder(who)
	for _, c := range s.open {
		if a == nil && c.Admission.Name == who {
			a = c.Admission
		}
	}
	before, err := s.folder.admitted()
	switch {
	case err != nil:
		return "", "", 0, err
	case a != nil:
		key, upto = a.Key, a.Number
	case before[who] == 0 && s.book.Last(who) == 0 && !known(who):
		return "", "", 0, fmt.Errorf("%w: %.80q", ErrUnknown, who)
	}
	return who, key, max(upto, before[who], s.book.Last(who), uint64(max(now.UnixMilli(), 1))), nil
}
