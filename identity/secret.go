package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"github.com/urban-compute/ucp/canon"
)

// A secret of a job is encrypted to members by the keys with which they were admitted (age, with X25519 keys that follow from these Ed25519
// keys as ssh-ed25519 recipients have them). So whoever has verified an admission knows whom a secret is for, and there is no
// other key that somebody could put in its place.
//
// Beside the secret it is encrypted who submits the jobs that it is for: what is sealed lies open to everybody who reads jobs, and
// brokers would decrypt it for whoever names it in a job of his own.

// Secret is what a job is given that nobody else is to see.
type Secret struct {
	Of    string `codec:"of"` // who submits the jobs that it is for
	Value []byte `codec:"value"`
}

// Bounds of secrets, in bytes, and of whom one may be for.
const (
	MaxSecret    = 16 << 10
	MaxSealed    = MaxSecret + maxReaders*256 + 2<<10
	maxReaders   = 256
	maxSecretOf  = 256
	errNotSealed = "identity: it is no secret that was encrypted to members"
)

// ErrNotForUs says that a secret was encrypted to others.
var ErrNotForUs = errors.New("identity: this secret was encrypted to others")

// Seal encrypts a secret to members, by their keys.
func Seal(s *Secret, to ...PublicKey) ([]byte, error) {
	if len(s.Value) > MaxSecret || len(s.Of) > maxSecretOf {
		return nil, fmt.Errorf("identity: a secret of %d bytes, at most %d are allowed", len(s.Value), MaxSecret)
	}
	if len(to) == 0 || len(to) > maxReaders {
		return nil, fmt.Errorf("identity: a secret for %d members; 1 to %d are allowed", len(to), maxReaders)
	}
	recipients, err := recipientsOf(to)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if _, err := w.Write(canon.Encode(s)); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return out.Bytes(), nil
}

// Unseal decrypts a secret; it is [ErrNotForUs] if that is for others. Its errors tell nothing of the secret.
func (k Key) Unseal(sealed []byte) (*Secret, error) {
	if len(sealed) > MaxSealed {
		return nil, errors.New(errNotSealed)
	}
	id, err := agessh.NewEd25519Identity(k.private)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	var others *age.NoIdentityMatchError
	switch {
	case errors.As(err, &others):
		return nil, ErrNotForUs
	case err != nil:
		return nil, errors.New(errNotSealed)
	}
	b, err := io.ReadAll(r) // age has no more than what is sealed
	s := new(Secret)
	if err != nil || canon.Decode(b, s) != nil || len(s.Value) > MaxSecret || len(s.Of) > maxSecretOf {
		return nil, errors.New(errNotSealed)
	}
	return s, nil
}
