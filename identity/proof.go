package identity

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/canon"
)

// Statement is what authorities sign: a [Change], an [Admission] or a [Revocation].
type Statement interface {
	Encode() []byte
	// Subject is whom or what it is about: "authority/KEY", "member/NAME" or "tokens/SUBJECT".
	Subject() string

	kind() string
	rank() int      // of what is said of one subject: the lower matters more
	number() uint64 // of two of one rank the higher matters more
	of() City
	signer() PublicKey
}

// Subject implements [Statement].
func (c *Change) Subject() string { return "authority/" + c.Key.String() }

// Subject implements [Statement].
func (a *Admission) Subject() string { return MemberSubject(a.Name) }

// Subject implements [Statement].
func (r *Revocation) Subject() string { return string(r.What) + "/" + r.Name }

// MemberSubject is what statements about the member of a name are about.
func MemberSubject(name string) string { return string(Membership) + "/" + name }

// TokensSubject is what statements about the tokens of a subject are about.
func TokensSubject(subject string) string { return string(Tokens) + "/" + subject }

func (c *Change) kind() string     { return changeKind }
func (a *Admission) kind() string  { return admissionKind }
func (r *Revocation) kind() string { return revocationKind }

func (r *Revocation) rank() int { return 0 }
func (a *Admission) rank() int  { return 3 }
func (c *Change) rank() int {
	if c.Remove {
		return 1
	}
	return 2
}

func (c *Change) number() uint64     { return 0 }
func (a *Admission) number() uint64  { return a.Number }
func (r *Revocation) number() uint64 { return r.Upto }

func (c *Change) of() City     { return c.City }
func (a *Admission) of() City  { return a.City }
func (r *Revocation) of() City { return r.City }

func (c *Change) signer() PublicKey     { return c.By }
func (a *Admission) signer() PublicKey  { return a.By }
func (r *Revocation) signer() PublicKey { return r.By }

// Proof is a statement with the changes that have made its signer an authority, from the root down: who knows of a city no
// more than its name can check that one of its authorities has made the statement. Whether that one is still in force is
// another question. It is immutable, and checked.
type Proof struct {
	Statement Statement
	Path      []*Change // none where the root has signed it

	raw []byte
}

// maxPath bounds how far an authority is from the root.
const maxPath = 4

// MaxProof bounds an encoded proof, in bytes.
const MaxProof = maxAdmission + maxPath*maxChange + 128

type encodedProof struct {
	Kind      string   `codec:"kind"`
	Statement []byte   `codec:"statement"`
	Path      [][]byte `codec:"path,omitempty"`
}

// Prove adds to a statement what makes its signer an authority. It is an error if that is none, or too far from the root.
func (a *Authorities) Prove(s Statement) (*Proof, error) {
	if !a.InForce(s.signer()) {
		return nil, fmt.Errorf("identity: %.12s... is no authority of this city", s.signer())
	}
	e := encodedProof{Kind: s.kind(), Statement: s.Encode()}
	for _, c := range a.seniors[s.signer()] {
		e.Path = append(e.Path, c.raw)
	}
	return DecodeProof(canon.Encode(e))
}

// Encode is the proof as it is sent and stored.
func (p *Proof) Encode() []byte { return p.raw }

// City is the city of one of whose authorities the statement is.
func (p *Proof) City() City { return p.Statement.of() }

// Signer is the authority that has signed the statement.
func (p *Proof) Signer() PublicKey { return p.Statement.signer() }

// SameSigner reports whether one authority has made statements of one kind.
func (p *Proof) SameSigner(q *Proof) bool {
	return p.Signer() == q.Signer() && p.Statement.rank() == q.Statement.rank()
}

// Compare orders what is said of one subject, by the statement alone: what is signed nearer to the root comes first, so
// that nobody crowds that out, then what takes back before what gives, then the later.
func (p *Proof) Compare(q *Proof) int {
	return cmp.Or(cmp.Compare(len(p.Path), len(q.Path)), cmp.Compare(p.Statement.rank(), q.Statement.rank()),
		cmp.Compare(q.Statement.number(), p.Statement.number()), strings.Compare(string(p.raw), string(q.raw)))
}

// DecodeProof reads a proof, and checks that an authority of the city that it names has made the statement.
func DecodeProof(b []byte) (*Proof, error) {
	if len(b) > MaxProof {
		return nil, fmt.Errorf("identity: proof of %d bytes, at most %d are allowed", len(b), MaxProof)
	}
	var e encodedProof
	if err := canon.Decode(b, &e); err != nil {
		return nil, fmt.Errorf("identity: proof: %w", err)
	}
	if string(canon.Encode(e)) != string(b) {
		return nil, errors.New("identity: proof is not written as it should be")
	}
	if len(e.Path) > maxPath {
		return nil, fmt.Errorf("identity: an authority is %d steps from the root, at most %d are allowed", len(e.Path), maxPath)
	}
	p := &Proof{raw: append([]byte(nil), b...)}
	var err error
	switch e.Kind {
	case changeKind:
		p.Statement, err = statement(DecodeChange(e.Statement))
	case admissionKind:
		p.Statement, err = statement(DecodeAdmission(e.Statement))
	case revocationKind:
		p.Statement, err = statement(DecodeRevocation(e.Statement))
	default:
		err = fmt.Errorf("identity: this version knows of no statement %.40q", e.Kind)
	}
	if err != nil {
		return nil, err
	}
	for _, raw := range e.Path {
		c, err := DecodeChange(raw)
		if err != nil {
			return nil, err
		}
		p.Path = append(p.Path, c)
	}
	return p, p.check()
}

// statement keeps a nil pointer from becoming a statement.
func statement[S Statement](s S, err error) (Statement, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// check reports whether the path leads from the root of the city to who has signed.
func (p *Proof) check() error {
	at := p.Signer()
	if len(p.Path) > 0 {
		at = p.Path[0].By
	}
	if CityOf(at) != p.City() {
		return errors.New("identity: a proof that does not begin at the root of its city")
	}
	for _, c := range p.Path {
		if c.Remove || c.By != at || c.City != p.City() {
			return errors.New("identity: a proof that does not lead to its signer")
		}
		at = c.Key
	}
	if at != p.Signer() {
		return errors.New("identity: a proof that does not lead to its signer")
	}
	if c, is := p.Statement.(*Change); is && CityOf(c.Key) == p.City() {
		return errors.New("identity: the root of a city is its authority for good")
	}
	return nil
}

// Changes are all changes of the authorities that a proof holds.
func (p *Proof) Changes() []*Change {
	if c, is := p.Statement.(*Change); is {
		return append(p.Path[:len(p.Path):len(p.Path)], c)
	}
	return p.Path
}
