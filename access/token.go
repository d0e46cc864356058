package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/label"
)

// Bounds of tokens.
const (
	MaxText = 8 << 10              // bytes of one as text
	MaxTTL  = 366 * 24 * time.Hour // from its making to its end

	maxStatements = 8       // the grant, and how often it can be narrowed
	maxStatement  = 4 << 10 // bytes of one
	maxScopes     = 32      // named in one

	// maxAhead is how far the clock of who has made a token may be ahead of the one that looks at it.
	maxAhead = 10 * time.Minute
)

// textPrefix begins a token as text, so that it is known for what it is, and a later form can be told from this one.
const textPrefix = "ucp1."

// grant is the first statement of a token, signed by an operator of the city.
type grant struct {
	Issuer  []byte   `codec:"issuer"` // the operator's credential, with no more authorities than it takes
	Subject string   `codec:"subject"`
	Issued  uint64   `codec:"issued"` // milliseconds since 1970, by the operator's clock
	Expires uint64   `codec:"expires"`
	Scopes  []string `codec:"scopes"`
	Next    []byte   `codec:"next"` // the key that may narrow it
}

// narrowing is a further statement, signed by the key that the one before it names. What it names beyond that gives nothing.
type narrowing struct {
	Expires uint64   `codec:"expires"`
	Scopes  []string `codec:"scopes"`
	Next    []byte   `codec:"next"`
}

// encoded is a token. Its key is the private one that the last statement names, which proves that none was taken away.
type encoded struct {
	Statements [][]byte `codec:"statements"`
	Key        []byte   `codec:"key"`
}

// Token says that who holds it may do something: as a subject, within scopes, until a time. An operator of a city makes it,
// any broker verifies it without asking, and any holder makes a narrower one of it. Who sees its text holds it.
//
// A token is a chain of statements. An operator's key signs the first, and each names the public key by which the
// next one has to be signed; the private one of the last is part of the token. What holds is what all statements
// allow. To take statements away from the end takes the private key that one of those before names, which is not
// in the token any more.
//
// Tokens are immutable, and their signatures are right: there are none otherwise. Whether the operator is one of the city at
// present, and what time it is, is another question ([Token.Check]).
type Token struct {
	first      grant
	issuer     *identity.Credential
	statements [][]byte
	key        identity.Key
	scopes     Scopes
	expires    uint64
	id         string // of its first statement
}

// Grant is what a token is to say.
type Grant struct {
	Subject string        // who holds it: a member, or a program; jobs are submitted in its name
	Scopes  Scopes        // no more than [Grantable]
	TTL     time.Duration // from now on
}

// Issue makes a token, signed by an operator of the city, at a time by its clock.
func Issue(by *identity.Member, g Grant, at time.Time) (*Token, error) {
	switch {
	case by.Admission.Role != identity.Operator:
		return nil, fmt.Errorf("%s is no operator of the city, and makes no tokens (%s)", by.Admission.Name, by.Admission.Role)
	case !label.ValidName(g.Subject):
		return nil, fmt.Errorf("subject %.80q: letters, digits and . _ -, at most 64, the first a letter or digit", g.Subject)
	case g.Scopes == Scopes{} || !g.Scopes.Within(Grantable()):
		return nil, fmt.Errorf("a token for %s: it may be for %s", g.Scopes, Grantable())
	case g.TTL <= 0 || g.TTL > MaxTTL:
		return nil, fmt.Errorf("a token holds for more than nothing and at most %v, not %v", MaxTTL, g.TTL)
	}
	authorities, err := by.Authorities.Only(by.Admission.By)
	if err != nil {
		return nil, err
	}
	key, err := identity.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	issuer := identity.Credential{Admission: by.Admission, Authorities: authorities}
	issued := uint64(max(at.UnixMilli(), 1))
	first := by.Key.Sign(identity.GrantKind, &grant{
		Issuer: issuer.Encode(), Subject: g.Subject, Issued: issued, Expires: issued + uint64(g.TTL.Milliseconds()),
		Scopes: g.Scopes.Names(), Next: []byte(key.Public()),
	})
	return read([][]byte{first}, key)
}

// Narrow makes a token that may do only what both it and the scopes allow, for a time from now on at most; 0 is as long as before.
// It asks nobody.
func (t *Token) Narrow(s Scopes, ttl time.Duration, at time.Time) (*Token, error) {
	expires := t.expires
	if ttl > 0 {
		expires = min(expires, uint64(max(at.Add(ttl).UnixMilli(), 1)))
	}
	switch {
	case ttl < 0:
		return nil, fmt.Errorf("a token holds for more than nothing, not %v", ttl)
	case t.scopes.And(s) == Scopes{}:
		return nil, fmt.Errorf("nothing would be left: this token is for %s", t.scopes)
	case len(t.statements) == maxStatements:
		return nil, fmt.Errorf("this token was narrowed %d times, and can't be once more", maxStatements-1)
	}
	key, err := identity.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	next := t.key.Sign(identity.NarrowKind, &narrowing{Expires: expires, Scopes: s.Names(), Next: []byte(key.Public())})
	return read(append(t.statements[:len(t.statements):len(t.statements)], next), key)
}

// Parse reads a token from its text, and checks its form and its signatures.
func Parse(text string) (*Token, error) {
	body, is := strings.CutPrefix(text, textPrefix)
	switch {
	case len(text) > MaxText:
		return nil, fmt.Errorf("a token of %d bytes; at most %d are allowed", len(text), MaxText)
	case !is:
		return nil, fmt.Errorf("this is no token: one begins with %s", textPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, errors.New("this token is damaged: it holds characters that it can't")
	}
	var e encoded
	if err := canon.Decode(raw, &e); err != nil || textOf(e) != text { // the decoder passes over line breaks, and what it does not know
		return nil, errors.New("this token is damaged")
	}
	key, err := identity.KeyFromSeed(e.Key)
	if err != nil {
		return nil, errors.New("this token is damaged: it has no key")
	}
	return read(e.Statements, key)
}

// read checks the statements of a token, and that they are all.
func read(statements [][]byte, key identity.Key) (*Token, error) {
	if len(statements) == 0 || len(statements) > maxStatements {
		return nil, fmt.Errorf("a token of %d statements; it has at least one, and at most %d", len(statements), maxStatements)
	}
	sum := sha256.Sum256(statements[0])
	t := &Token{statements: statements, key: key, id: hex.EncodeToString(sum[:5])} // the ID is asked for with each request
	by, err := identity.OpenSigned(identity.GrantKind, statements[0], maxStatement, &t.first)
	if err != nil {
		return nil, err
	}
	if t.issuer, err = identity.DecodeCredential(t.first.Issuer); err != nil {
		return nil, err
	}
	if err := by(t.issuer.Admission.Key); err != nil {
		return nil, err
	}
	switch first := &t.first; {
	case !label.ValidName(first.Subject):
		return nil, fmt.Errorf("a token for %.80q: nobody has such a name", first.Subject)
	case first.Issued == 0 || first.Expires <= first.Issued || first.Expires-first.Issued > uint64(MaxTTL.Milliseconds()):
		return nil, errors.New("a token that does not end, or ends before it was made")
	case len(first.Scopes) > maxScopes:
		return nil, errTooManyScopes
	}
	t.scopes, t.expires = readScopes(t.first.Scopes).And(Grantable()), t.first.Expires
	next := identity.PublicKey(t.first.Next)
	for _, b := range statements[1:] {
		var n narrowing
		by, err := identity.OpenSigned(identity.NarrowKind, b, maxStatement, &n)
		if err != nil {
			return nil, err
		}
		if err := by(next); err != nil {
			return nil, err
		}
		if len(n.Scopes) > maxScopes {
			return nil, errTooManyScopes
		}
		t.scopes, t.expires, next = t.scopes.And(readScopes(n.Scopes)), min(t.expires, n.Expires), identity.PublicKey(n.Next)
	}
	if next != key.Public() {
		return nil, errors.New("this token is damaged: its key is not the one that its last statement names")
	}
	if len(t.Text()) > MaxText {
		return nil, fmt.Errorf("a token of %d bytes; at most %d are allowed", len(t.Text()), MaxText)
	}
	return t, nil
}

var errTooManyScopes = fmt.Errorf("a token names at most %d scopes", maxScopes)

func textOf(e encoded) string {
	return textPrefix + base64.RawURLEncoding.EncodeToString(canon.Encode(e))
}

// Text is the token as it is sent and kept. It is a secret: whoever sees it may do what it allows.
func (t *Token) Text() string { return textOf(encoded{t.statements, t.key.Seed()}) }

// ID tells tokens apart, for people. Those that were made of one by narrowing it have its ID.
func (t *Token) ID() string { return t.id }

// String implements fmt.Stringer; it tells no secret.
func (t *Token) String() string { return t.Subject() + " (token " + t.ID() + " by " + t.Issuer() + ")" }

// GoString implements fmt.GoStringer, so that %#v tells none either.
func (t *Token) GoString() string { return t.String() }

// Subject is who holds it.
func (t *Token) Subject() string { return t.first.Subject }

// Issuer is the name of the operator who has made it.
func (t *Token) Issuer() string { return t.issuer.Admission.Name }

// Credential is that of the operator.
func (t *Token) Credential() *identity.Credential { return t.issuer }

// City is the city in which it holds.
func (t *Token) City() identity.City { return t.issuer.Admission.City }

// Scopes is what it allows.
func (t *Token) Scopes() Scopes { return t.scopes }

// Issued is when it was made, by the clock of who made it.
func (t *Token) Issued() time.Time { return time.UnixMilli(int64(t.first.Issued)) }

// Expires is when it ends.
func (t *Token) Expires() time.Time { return time.UnixMilli(int64(min(t.expires, 1<<52))) }

// Revoked tells up to when tokens of a subject are revoked; zero is not at all.
type Revoked func(subject string) time.Time

// Check returns why a token does not hold now, or nil. Trust decides whether who has made it is a member of the city.
//
// The time is that of the broker that is asked: one whose clock is behind takes a token for as much longer, one whose clock
// is ahead refuses it earlier. A token that was made in the future is refused, since then one of the clocks is wrong, and
// nobody can tell whether it has expired. Members with a key of their own need no clock.
func (t *Token) Check(trust identity.Trust, revoked Revoked, now time.Time) error {
	if err := trust.Verify(t.issuer); err != nil {
		return fmt.Errorf("the token %s was made by %s, who is none of this city's operators: %w", t.ID(), t.Issuer(), err)
	}
	switch {
	case t.issuer.Admission.Role != identity.Operator:
		return fmt.Errorf("the token %s was made by %s, who is no operator (%s)", t.ID(), t.Issuer(), t.issuer.Admission.Role)
	case !t.Issued().After(revoked(t.Subject())):
		return fmt.Errorf("the token %s is revoked, with all of %s that were made until %s", t.ID(), t.Subject(), revoked(t.Subject()).UTC().Format(time.RFC3339))
	case !now.Before(t.Expires()):
		return fmt.Errorf("the token %s has expired at %s; here it is %s", t.ID(), t.Expires().UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.Add(maxAhead).Before(t.Issued()):
		return fmt.Errorf("the token %s was made at %s, and here it is %s: one of the two clocks is wrong; who has a key of their own (`ucp login`) is let in all the same",
			t.ID(), t.Issued().UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}
