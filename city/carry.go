package city

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/identity"
)

// What is carried by hand shows who has packed it as a connection shows who is at its other side: by a credential, and a key.

// Shows is what this member shows of itself, where there is no connection.
func (s *Self) Shows() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := identity.Credential{Admission: s.admission, Authorities: s.book.Authorities()}
	return c.Encode()
}

// SignHash signs the hash of what this broker has packed.
func (s *Self) SignHash(hash []byte) []byte { return s.signingKey().SignHash(hash) }

// DecryptFrom decrypts what was encrypted to this member ([identity.EncryptTo]).
func (s *Self) DecryptFrom(in io.Reader) (io.Reader, error) { return s.signingKey().DecryptFrom(in) }

// Shown returns the key of the broker that shows a credential, if that is the broker of a name, and belongs to the city.
func (s *Self) Shown(credential []byte, name string) (identity.PublicKey, error) {
	c, err := identity.DecodeCredential(credential)
	if err != nil {
		return "", err
	}
	if err := s.Verify(c); err != nil {
		return "", err
	}
	return c.Admission.Key, s.IsBroker(c, name)
}

// ReadersOf are the keys of this broker and others, by their names, and whose are not known here.
func (s *Self) ReadersOf(names []string) (keys []identity.PublicKey, unknown []string) {
	keys = append(keys, s.signingKey().Public())
	for _, name := range names {
		if name == s.Name() {
			continue
		}
		key, ok := s.keyOf(name)
		switch {
		case !ok:
			unknown = append(unknown, name)
		case !slices.Contains(keys, key):
			keys = append(keys, key)
		}
	}
	return keys, unknown
}

// keyOf is the key of the broker that has a name now, as far as that is known.
func (s *Self) keyOf(name string) (identity.PublicKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.book.Holder(name); a != nil {
		return a.Key, a.Role == identity.Broker
	}
	if met := s.met[name]; len(met) > 0 && !s.book.Gone(name) {
		return met[len(met)-1].Key, true
	}
	return "", false
}

// Introduce is by what a broker that has come was let in, as its certificate shows; nil where it has shown none that stands.
func (s *Self) Introduce(name string) *identity.Proof {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.met[name])
	if a := s.book.Holder(name); a != nil && a.Role == identity.Broker {
		all = append(all, a)
	}
	for _, a := range slices.Backward(all) {
		if s.book.Verify(a) != nil {
			continue
		}
		if p, err := s.book.Authorities().Prove(a); err == nil {
			return p
		}
	}
	return nil
}

// word is what a broker says of itself, for whoever hears it later and by way of others.
type word struct {
	Word       []byte `codec:"word"`
	Credential []byte `codec:"credential"`
	Signature  []byte `codec:"sig"`
}

// SignWord gives this broker's word, so that others can carry it.
func (s *Self) SignWord(b []byte) []byte {
	return canon.Encode(word{b, s.Shows(), s.SignHash(wordHash(b))})
}

// OpenWord returns a word that was signed by the broker of the name that namer reads in it.
func (s *Self) OpenWord(b []byte, namer func(word []byte) (string, error)) ([]byte, error) {
	var w word
	if err := canon.Decode(b, &w); err != nil {
		return nil, fmt.Errorf("a broker's word can't be read: %w", err)
	}
	name, err := namer(w.Word)
	if err != nil {
		return nil, err
	}
	key, err := s.Shown(w.Credential, name)
	if err != nil {
		return nil, err
	}
	if !key.SignedHash(wordHash(w.Word), w.Signature) {
		return nil, fmt.Errorf("the word of %s is not signed by it", name)
	}
	return w.Word, nil
}

// wordHash is what is signed of a word: no frame of a file has it.
func wordHash(b []byte) []byte { return bytes.Join([][]byte{[]byte("word\x00"), b}, nil) }
