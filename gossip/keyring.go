package gossip

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/hashicorp/memberlist"
)

// Where there is a keyring (rule G4), everything that is gossiped is encrypted and authenticated by AES-GCM with a key that
// all nodes share: the first of the keyring for what is sent, any of it for what comes. The form is memberlist's, so that
// stock agents with the same key take part:
//
//	packet: sealed | stream: wireEncrypt, 4 bytes length, sealed; sealed: version 1, 12 bytes nonce, ciphertext, 16 bytes tag
//
// Memberlist seals what it sends. What comes is opened here, before the sift looks at it, which could not read it otherwise.
// What has no key of ours on it goes no further.

// keySize is the length of a key that we make, in bytes: AES-256. Stock agents may have shorter ones.
const keySize = 32

// maxKeyring bounds the file of a keyring, in bytes.
const maxKeyring = 64 << 10

// NewKey draws a key for a keyring, in the form of "serf keygen".
func NewKey(random io.Reader) (string, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return "", fmt.Errorf("gossip: randomness for a key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(key), nil
}

// NewKeyring makes the file of a keyring with one key, which only its owner can read. There must be none yet.
func NewKeyring(path, key string) error {
	if _, err := parseKeyring([]byte(`["` + key + `"]`)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("gossip: keyring: %w", err)
	}
	_, err = fmt.Fprintf(f, "[\n  %q\n]\n", key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("gossip: keyring: %w", err)
	}
	return nil
}

// readKeyring reads the file of a keyring, in the form of "serf agent -keyring-file": a JSON list of keys, the first of
// which is the one to send with.
func readKeyring(path string) (*memberlist.Keyring, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("gossip: keyring: %w", err)
	case info.Size() > maxKeyring:
		return nil, fmt.Errorf("gossip: keyring %s has %d bytes, at most %d are allowed", path, info.Size(), maxKeyring)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("gossip: keyring %s can be read by others (%v): chmod 600 it, and ask whether its keys are still a secret", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("gossip: keyring: %w", err)
	}
	ring, err := parseKeyring(text)
	if err != nil {
		return nil, fmt.Errorf("%w, in %s", err, path)
	}
	return ring, nil
}

// CheckKeyring says why the file of a keyring can't be used, if so.
func CheckKeyring(path string) error {
	_, err := readKeyring(path)
	return err
}

// parseKeyring reads the text of a keyring. Its errors show no key.
func parseKeyring(text []byte) (*memberlist.Keyring, error) {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		return nil, errors.New(`gossip: a keyring is a JSON list of keys, such as "ucp keygen" makes`)
	}
	var keys [][]byte
	for i, s := range list {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err != nil || memberlist.ValidateKey(key) != nil {
			return nil, fmt.Errorf(`gossip: key %d of a keyring is none: it is 32 bytes in base64, as "ucp keygen" prints`, i+1)
		}
		keys = append(keys, key)
	}
	return memberlist.NewKeyring(keys, keys[0])
}

// seal opens what comes, and seals what this package sends beside memberlist. Without a ring both pass as they are.
type seal struct{ ring *memberlist.Keyring }

// The parts of what is sealed, in bytes.
const (
	sealVersion = 1
	sealNonce   = 12
	sealTag     = 16
)

var errUnsealed = errors.New("gossip: it is not encrypted with a key of this node")

// open returns what was sealed, and for a packet no additional data.
func (s seal) open(b, data []byte) ([]byte, error) {
	if s.ring == nil {
		return b, nil
	}
	if len(b) < 1+sealNonce+sealTag || b[0] != sealVersion {
		return nil, errUnsealed
	}
	for _, key := range s.ring.GetKeys() {
		gcm, err := gcmOf(key)
		if err != nil {
			return nil, err
		}
		if plain, err := gcm.Open(nil, b[1:1+sealNonce], b[1+sealNonce:], data); err == nil {
			return plain, nil
		}
	}
	return nil, errUnsealed
}

// opens reports whether memberlist would open once more what was opened: somebody has sealed it twice, past the sift.
func (s seal) opens(b, data []byte) bool {
	if s.ring == nil {
		return false
	}
	_, err := s.open(b, data)
	return err == nil || len(b) > 0 && b[0] == 0 && s.opensOld(b, data)
}

// opensOld is opens for the form of memberlist's first protocol, which pads.
func (s seal) opensOld(b, data []byte) bool {
	if len(b) < 1+sealNonce+sealTag {
		return false
	}
	return s.opens(append([]byte{sealVersion}, b[1:]...), data)
}

// close seals a message.
func (s seal) close(b, data []byte) ([]byte, error) {
	if s.ring == nil {
		return b, nil
	}
	gcm, err := gcmOf(s.ring.GetPrimaryKey())
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, 1+sealNonce+len(b)+sealTag), sealVersion)
	out = out[:1+sealNonce]
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fmt.Errorf("gossip: randomness: %w", err)
	}
	return gcm.Seal(out, out[1:], b, data), nil
}

func gcmOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	return cipher.NewGCM(block)
}

// closeStream seals a message that is sent on a stream.
func (s seal) closeStream(b []byte) ([]byte, error) {
	if s.ring == nil {
		return b, nil
	}
	head := streamHead(1 + sealNonce + len(b) + sealTag)
	sealed, err := s.close(b, head)
	return append(head, sealed...), err
}

// openStream reads a message that was sealed on a stream.
func (s seal) openStream(r *bufio.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return nil, err
	}
	if head[0] != wireEncrypt {
		return nil, errUnsealed
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if size > maxStreamMessage {
		return nil, fmt.Errorf("gossip: a message of %d bytes, at most %d are allowed", size, maxStreamMessage)
	}
	var sealed bytes.Buffer // it grows with what comes, not with what was claimed
	if _, err := io.CopyN(&sealed, r, size); err != nil {
		return nil, err
	}
	plain, err := s.open(sealed.Bytes(), head)
	if err == nil && (len(plain) == 0 || plain[0] == wireEncrypt) {
		err = errors.New("gossip: a message is empty, or encrypted twice")
	}
	return plain, err
}

// streamHead begins a sealed message of a stream, and is authenticated with it.
func streamHead(size int) []byte {
	return binary.BigEndian.AppendUint32([]byte{wireEncrypt}, uint32(size))
}

// unsealed counts what has no key of this node on it, and logs at most one a second.
func (s *sift) unsealed(from net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(RefusedKey)
	if s.due() {
		s.log.Warn("gossip is not read, since it is not encrypted with a key of this broker", "from", from.String(), "others since the last line", s.silent)
		s.silent = 0
	}
}
