package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder is a directory that holds an identity: in a broker's data directory, or in the directory of a person's settings.
// Only its owner may read it. Files are replaced as a whole, and synced.
type Folder string

// The files of a Folder.
const (
	keyFile         = "key"         // the member's private key
	admissionFile   = "admission"   // the member's admission
	authoritiesFile = "authorities" // the authorities that the member knows
	authorityFile   = "authority"   // an authority's private key
)

// maxKeyFile bounds the file of a key, in bytes.
const maxKeyFile = 4 << 10

// ErrNoIdentity says that a folder holds no identity.
var ErrNoIdentity = errors.New("identity: this is no member of a city yet")

// Key returns the member's key, which it makes when there is none: it is the same over all starts.
func (f Folder) Key() (Key, error) { return f.key(keyFile, "", 0) }

// Authority returns the authority's key that lies here, [fs.ErrNotExist] when there is none, [ErrLocked] when it is
// encrypted and the passphrase empty.
func (f Folder) Authority(passphrase string) (Key, error) {
	b, err := f.Read(authorityFile, maxKeyFile)
	if err != nil {
		return Key{}, err
	}
	return parseKey(b, passphrase)
}

// NewAuthority makes the authority's key that lies here, encrypted unless the passphrase is empty. It returns the one that is
// there if there is one, which the passphrase has to open.
func (f Folder) NewAuthority(passphrase string) (Key, error) {
	return f.key(authorityFile, passphrase, workFactor)
}

// AnotherAuthority makes an authority's key, not encrypted, in the place of the one that lies here.
func (f Folder) AnotherAuthority() (Key, error) { return f.newKey(authorityFile, "", 0) }

// key returns the key in a file, or makes it.
func (f Folder) key(file, passphrase string, work int) (Key, error) {
	switch b, err := f.Read(file, maxKeyFile); {
	case err == nil:
		return parseKey(b, passphrase)
	case !errors.Is(err, fs.ErrNotExist):
		return Key{}, err
	}
	return f.newKey(file, passphrase, work)
}

func (f Folder) newKey(file, passphrase string, work int) (Key, error) {
	k, err := NewKey(rand.Reader)
	if err != nil {
		return Key{}, err
	}
	text := []byte(hex.EncodeToString(k.private.Seed()) + "\n")
	if passphrase != "" {
		if text, err = lock(text, passphrase, work); err != nil {
			return Key{}, err
		}
	}
	return k, f.Write(file, text)
}

// ageMagic begins what is encrypted.
var ageMagic = []byte("age-encryption.org/")

func parseKey(b []byte, passphrase string) (Key, error) {
	if bytes.HasPrefix(b, ageMagic) {
		if passphrase == "" {
			return Key{}, ErrLocked
		}
		var err error
		if b, err = unlock(b, passphrase); err != nil {
			return Key{}, err
		}
	}
	seed, err := hex.DecodeString(string(bytes.TrimSpace(b)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return Key{}, errors.New("identity: the file of a key is damaged")
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Member reads the member that lies here, and checks it. It returns [ErrNoIdentity] when there is none.
func (f Folder) Member() (*Member, error) {
	raw, err := f.Read(admissionFile, maxAdmission)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoIdentity
	}
	if err != nil {
		return nil, err
	}
	m := new(Member)
	if m.Admission, err = DecodeAdmission(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if raw, err = f.Read(authoritiesFile, maxAuthorities); err != nil {
		return nil, err
	}
	if m.Authorities, err = DecodeAuthorities(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if raw, err = f.Read(keyFile, maxKeyFile); err != nil {
		return nil, err
	}
	if m.Key, err = parseKey(raw, ""); err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	return m, m.Check()
}

// Keep writes a member that was checked. The admission comes last: without it there is no member.
func (f Folder) Keep(m *Member) error {
	if err := m.Check(); err != nil {
		return err
	}
	if k, err := f.Key(); err != nil || k.Public() != m.Key.Public() {
		return errors.Join(fmt.Errorf("identity: %s holds another key than that of %s", f, m.Admission.Name), err)
	}
	if err := f.Write(authoritiesFile, m.Authorities.Encode()); err != nil {
		return err
	}
	return f.Write(admissionFile, m.Admission.Encode())
}

// KeepAuthorities writes the authorities that the member knows by now, also where they no longer let its own admission stand.
func (f Folder) KeepAuthorities(a *Authorities) error { return f.Write(authoritiesFile, a.Encode()) }

// Read returns a file of the folder, of at most limit bytes, which nobody else may be able to read.
func (f Folder) Read(name string, limit int64) ([]byte, error) {
	path := filepath.Join(string(f), name)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Size() > limit:
		return nil, fmt.Errorf("identity: %s has %d bytes, at most %d are allowed", path, info.Size(), limit)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("identity: %s can be read by others (%v): chmod 600 it, and ask whether its key is still a secret", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}

// Write replaces a file of the folder, which only its owner can read; it is synced.
func (f Folder) Write(name string, b []byte) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	tmp, err := os.CreateTemp(string(f), name+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	defer os.Remove(tmp.Name()) // it is gone by then, or was of no use
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("identity: writing %s: %w", name, err)
	}
	if err := os.Rename(tmp.Name(), filepath.Join(string(f), name)); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	d, err := os.Open(string(f))
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
