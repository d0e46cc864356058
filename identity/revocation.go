package identity

import (
	"errors"
	"fmt"
	"time"

	"github.com/urban-compute/ucp/label"
)

// What is revoked.
type What string

// What a [Revocation] may take back.
const (
	Membership What = "member" // admissions of a name, and of a key
	Tokens     What = "tokens" // tokens of a subject
)

// Revocation says that what somebody was given up to a moment counts no more. It is immutable, and its signature is right.
// It needs no clock: it is compared with the number of an admission, or with when a token says that it was issued.
type Revocation struct {
	City City      `codec:"city"`
	What What      `codec:"what"`
	Name string    `codec:"name"`          // of the member, or the subject of the tokens
	Key  PublicKey `codec:"key,omitempty"` // that no admission may be for any more; "" where the member's key is not known
	// Upto is the number of the last admission that it ends, or when, in milliseconds since 1970, the last token that it
	// ends was issued.
	Upto uint64    `codec:"upto"`
	By   PublicKey `codec:"by"` // the authority

	raw []byte
}

// maxRevocation bounds an encoded revocation, in bytes.
const maxRevocation = 1 << 10

// Revoke signs that the admissions of a name end, by a time of the authority's clock, and those that were known: with the
// number of the latest. Key is the member's, "" where that is not known.
func (k Key) Revoke(city City, name string, key PublicKey, at time.Time, known uint64) (*Revocation, error) {
	return k.revoke(&Revocation{City: city, What: Membership, Name: name, Key: key, Upto: max(known, milliseconds(at))})
}

// RevokeTokens signs that the tokens of a subject that were issued until a time hold no more.
func (k Key) RevokeTokens(city City, subject string, until time.Time) (*Revocation, error) {
	return k.revoke(&Revocation{City: city, What: Tokens, Name: subject, Upto: milliseconds(until)})
}

func (k Key) revoke(r *Revocation) (*Revocation, error) {
	r.By = k.Public()
	return DecodeRevocation(k.sign(revocationKind, r))
}

func milliseconds(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }

// Encode is the revocation as it is sent and stored.
func (r *Revocation) Encode() []byte { return r.raw }

// Ends reports whether an admission is among what is revoked. Whether who signed it may is another question
// ([Authorities.Above]).
func (r *Revocation) Ends(a *Admission) bool {
	return r.What == Membership && (a.Name == r.Name && a.Number <= r.Upto || r.Key != "" && a.Key == r.Key)
}

// DecodeRevocation reads a revocation, and checks its form and its signature.
func DecodeRevocation(b []byte) (*Revocation, error) {
	r := new(Revocation)
	by, err := open(revocationKind, b, maxRevocation, r)
	if err != nil {
		return nil, err
	}
	switch {
	case len(r.City) != 32:
		return nil, errors.New("identity: a revocation names no city")
	case !label.ValidName(r.Name):
		return nil, fmt.Errorf("identity: a revocation of %.80q: nobody has such a name", r.Name)
	case r.What != Membership && r.What != Tokens:
		return nil, fmt.Errorf("identity: of %s %.40q is revoked: this version knows of no such thing", r.Name, r.What)
	case r.Key != "" && (!r.Key.Valid() || r.What != Membership):
		return nil, fmt.Errorf("identity: the revocation of %s names a key that is none", r.Name)
	case r.Upto == 0:
		return nil, fmt.Errorf("identity: the revocation of %s ends nothing", r.Name)
	}
	r.raw = append([]byte(nil), b...)
	return r, by(r.By)
}
