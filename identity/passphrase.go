package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// workFactor is the scrypt work factor of a passphrase, as a power of two: about a second on a laptop.
const workFactor = 18

// lock encrypts what a passphrase is to protect, in the format of age.
func lock(secret []byte, passphrase string, work int) ([]byte, error) {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("identity: passphrase: %w", err)
	}
	to.SetWorkFactor(work)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("identity: encrypting with a passphrase: %w", err)
	}
	_, err = w.Write(secret)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("identity: encrypting with a passphrase: %w", err)
	}
	return out.Bytes(), nil
}

// unlock decrypts what lock has encrypted.
func unlock(locked []byte, passphrase string) ([]byte, error) {
	with, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("identity: passphrase: %w", err)
	}
	with.SetMaxWorkFactor(workFactor) // a file that asks for more would keep the machine busy
	r, err := age.Decrypt(bytes.NewReader(locked), with)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("identity: decrypting with a passphrase: %w", err)
	}
	return io.ReadAll(io.LimitReader(r, maxKeyFile))
}

// ErrPassphrase says that a passphrase is not the right one.
var ErrPassphrase = errors.New("identity: the passphrase is wrong")

// ErrLocked says that a key is encrypted and no passphrase was given.
var ErrLocked = errors.New("identity: the key is encrypted: give its passphrase")
