package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// What brokers give each other by hand is signed frame by frame, and encrypted to those that may read it (package carry), as
// secrets are: by the keys with which they were admitted.

// SealSize is the size of the signature of a hash, in bytes.
const SealSize = ed25519.SignatureSize

const carryKind = "carry"

// SignHash signs the hash of what is carried.
func (k Key) SignHash(hash []byte) []byte { return ed25519.Sign(k.private, toSign(carryKind, hash)) }

// SignedHash reports whether a signature of such a hash is by this key.
func (k PublicKey) SignedHash(hash, signature []byte) bool {
	return k.Valid() && ed25519.Verify(ed25519.PublicKey(k), toSign(carryKind, hash), signature)
}

// MaxReaders bounds to how many members something that is carried can be encrypted.
const MaxReaders = 4096

// EncryptTo encrypts what is written to members, by their keys, as it is written. It is whole when it was closed.
func EncryptTo(out io.Writer, to ...PublicKey) (io.WriteCloser, error) {
	if len(to) == 0 || len(to) > MaxReaders {
		return nil, fmt.Errorf("identity: something for %d members; 1 to %d are allowed", len(to), MaxReaders)
	}
	recipients, err := recipientsOf(to)
	if err != nil {
		return nil, err
	}
	w, err := age.Encrypt(out, recipients...)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return w, nil
}

// recipientsOf is to whom age encrypts.
func recipientsOf(keys []PublicKey) (out []age.Recipient, err error) {
	for _, key := range keys {
		public, err := ssh.NewPublicKey(ed25519.PublicKey(key))
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		r, err := agessh.NewEd25519Recipient(public)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		out = append(out, r)
	}
	return out, nil
}

// maxStanzas bounds what says to whom something is encrypted, in bytes.
const maxStanzas = MaxReaders*256 + 4<<10

// DecryptFrom decrypts what [EncryptTo] has encrypted, as it is read: what was read is what was written, up to where it was cut or
// changed. It is [ErrNotForUs] where it is for others.
func (k Key) DecryptFrom(in io.Reader) (io.Reader, error) {
	id, err := agessh.NewEd25519Identity(k.private)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	bounded := &io.LimitedReader{R: in, N: maxStanzas}
	r, err := age.Decrypt(bounded, id)
	var others *age.NoIdentityMatchError
	switch {
	case errors.As(err, &others):
		return nil, ErrNotForUs
	case err != nil:
		return nil, fmt.Errorf("identity: it is not encrypted to members: %w", err)
	}
	bounded.N = 1<<63 - 1
	return r, nil
}
