package identity

import (
	"errors"
	"fmt"
	"time"

	"github.com/urban-compute/ucp/label"
)

// Role is what a member may be.
type Role string

// The roles.
const (
	Broker   Role = "broker"   // it takes part in the cluster
	Operator Role = "operator" // it commands brokers
	Client   Role = "client"   // it submits jobs
)

// Valid reports whether it is a role that this version knows.
func (r Role) Valid() bool { return r == Broker || r == Operator || r == Client }

// Admission says that a key belongs to a member of a city. It is immutable, and its signature is right: there is none
// otherwise. Whether who signed it may is another question ([Authorities.Verify]).
type Admission struct {
	City City      `codec:"city"`
	Name string    `codec:"name"` // of the member
	Key  PublicKey `codec:"key"`  // of the member
	Role Role      `codec:"role"`
	// Number tells admissions of one name apart: milliseconds since 1970 by the authority's clock, or more than that.
	// The greater one is the later one. Nobody compares it with a clock.
	Number uint64    `codec:"number"`
	By     PublicKey `codec:"by"` // the authority
	// Replaces is the number of the admission of that name that the authority knew of, and meant to end: the name is given
	// again. 0 is none.
	Replaces uint64 `codec:"replaces,omitempty"`

	raw []byte
}

// maxAdmission bounds an encoded admission, in bytes.
const maxAdmission = 1 << 10

// Admit signs that a key belongs to a name and a role, at a time by the authority's clock. After is the number of the
// admission of that name that was known before, 0 if none was.
func (k Key) Admit(city City, name string, member PublicKey, role Role, at time.Time, after uint64) (*Admission, error) {
	number := max(milliseconds(at), after+1)
	return DecodeAdmission(k.sign(admissionKind, &Admission{City: city, Name: name, Key: member, Role: role, Number: number, By: k.Public(), Replaces: after}))
}

// Encode is the admission as it is sent and stored.
func (a *Admission) Encode() []byte { return a.raw }

// DecodeAdmission reads an admission, and checks its form and its signature.
func DecodeAdmission(b []byte) (*Admission, error) {
	a := new(Admission)
	by, err := open(admissionKind, b, maxAdmission, a)
	if err != nil {
		return nil, err
	}
	switch {
	case len(a.City) != 32:
		return nil, errors.New("identity: an admission names no city")
	case !label.ValidName(a.Name):
		return nil, fmt.Errorf("identity: an admission of %.80q: no member has such a name", a.Name)
	case !a.Key.Valid():
		return nil, fmt.Errorf("identity: the admission of %s has no key", a.Name)
	case !a.Role.Valid():
		return nil, fmt.Errorf("identity: %s is admitted as %.40q: this version knows of no such role", a.Name, a.Role)
	case a.Number == 0:
		return nil, fmt.Errorf("identity: the admission of %s has no number", a.Name)
	}
	a.raw = append([]byte(nil), b...)
	return a, by(a.By)
}
