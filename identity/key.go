package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/urban-compute/ucp/canon"
)

// PublicKey is the 32 bytes of an Ed25519 public key, as a string so that it can be compared. A member and an authority
// are known by theirs.
type PublicKey string

// Valid reports whether the key has the length of one.
func (k PublicKey) Valid() bool { return len(k) == ed25519.PublicKeySize }

// String is the key in hexadecimal digits.
func (k PublicKey) String() string { return hex.EncodeToString([]byte(k)) }

// Key is a private key. It is never printed: its String is that of its public half.
type Key struct{ private ed25519.PrivateKey }

// NewKey draws a key.
func NewKey(random io.Reader) (Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return Key{}, fmt.Errorf("identity: randomness for a key: %w", err)
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Public is the key's public half.
func (k Key) Public() PublicKey { return PublicKey(k.private.Public().(ed25519.PublicKey)) }

// KeyFromSeed is the key that [Key.Seed] has told.
func KeyFromSeed(seed []byte) (Key, error) {
	if len(seed) != ed25519.SeedSize {
		return Key{}, fmt.Errorf("identity: a key has %d bytes, not %d", ed25519.SeedSize, len(seed))
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Seed tells the private half, for a token, whose holder has to have it. Whoever sees it has the key.
func (k Key) Seed() []byte { return k.private.Seed() }

// String implements fmt.Stringer.
func (k Key) String() string { return k.Public().String() }

// GoString implements fmt.GoStringer, so that %#v does not print the private half either.
func (k Key) GoString() string { return k.String() }

// City names a city: the SHA-256 of its root authority's public key, as 32 bytes.
type City string

// CityOf is the city that begins with a root authority.
func CityOf(root PublicKey) City {
	h := sha256.Sum256([]byte("ucp city\x00" + string(root)))
	return City(h[:])
}

// String is the city's name in hexadecimal digits.
func (c City) String() string { return hex.EncodeToString([]byte(c)) }

// Pin is the beginning of a city's name: enough to know the city by, and short enough to be typed.
type Pin [12]byte

// Pin is the city's pin.
func (c City) Pin() (p Pin) {
	copy(p[:], c)
	return p
}

// signed is a statement and its signature. The body is kept as it came, so that a statement which has fields that this
// version does not know is passed on unharmed.
type signed struct {
	Body      []byte `codec:"body"`
	Signature []byte `codec:"sig"`
}

// What may be signed. The kind is part of what is signed, so that no statement can pass for one of another kind.
const (
	admissionKind  = "admission"
	changeKind     = "authority"
	revocationKind = "revocation"
	GrantKind      = "grant"     // the first statement of a token (package access)
	NarrowKind     = "narrowing" // the further ones
	HeadKind       = "head"      // of a broker's commits (package head)
)

func toSign(kind string, body []byte) []byte {
	return append([]byte("ucp identity 1\x00"+kind+"\x00"), body...)
}

// sign makes a statement of a kind.
func (k Key) sign(kind string, v any) []byte {
	body := canon.Encode(v)
	return canon.Encode(signed{body, ed25519.Sign(k.private, toSign(kind, body))})
}

// open decodes a statement of at most limit bytes into v, and returns what checks its signature.
func open(kind string, b []byte, limit int, v any) (by func(PublicKey) error, err error) {
	if len(b) > limit {
		return nil, fmt.Errorf("identity: %s of %d bytes, at most %d are allowed", kind, len(b), limit)
	}
	var s signed
	if err := canon.Decode(b, &s); err != nil {
		return nil, fmt.Errorf("identity: %s: %w", kind, err)
	}
	if string(canon.Encode(s)) != string(b) {
		return nil, fmt.Errorf("identity: %s is not written as it should be", kind)
	}
	if err := canon.Decode(s.Body, v); err != nil {
		return nil, fmt.Errorf("identity: %s: %w", kind, err)
	}
	return func(k PublicKey) error {
		if !k.Valid() || !ed25519.Verify(ed25519.PublicKey(k), toSign(kind, s.Body), s.Signature) {
			return fmt.Errorf("identity: %s: %w", kind, errSignature)
		}
		return nil
	}, nil
}

// Sign makes a statement of a kind that another package defines; it is one of the constants here.
func (k Key) Sign(kind string, v any) []byte { return k.sign(kind, v) }

// OpenSigned decodes such a statement, of at most limit bytes, into v, and returns what checks its signature.
func OpenSigned(kind string, b []byte, limit int, v any) (by func(PublicKey) error, err error) {
	return open(kind, b, limit, v)
}

var errSignature = errors.New("its signature is not that of the key that it names")
