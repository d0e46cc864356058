package city

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/identity"
)

// Admitted is what a broker of the city answers to who has an invite.
type Admitted struct {
	Admission, Authorities []byte
	City                   string // its name, for people; may be ""
	Keyring                []byte // of the gossip; for brokers
	Brokers                []string
}

// brokersFile holds the addresses of brokers that a person was told.
const brokersFile = "brokers"

// Take checks what was answered to an invite, and keeps it: with that the folder holds a member. A broker's key of the gossip
// is written before, and a name or address that was answered is none that could do harm.
func (f Folder) Take(invite *identity.Invite, in Admitted) (*identity.Member, error) {
	key, err := f.Key()
	if err != nil {
		return nil, err
	}
	m := &identity.Member{Key: key}
	if m.Admission, err = identity.DecodeAdmission(in.Admission); err != nil {
		return nil, err
	}
	if m.Authorities, err = identity.DecodeAuthorities(in.Authorities); err != nil {
		return nil, err
	}
	if m.Authorities.City().Pin() != invite.Pin {
		return nil, errors.New("the broker that was asked has answered with another city than the one that the code is of")
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := f.keepName(in.City); err != nil {
		return nil, err
	}
	if m.Admission.Role == identity.Broker {
		if err := f.Write("keyring", in.Keyring); err != nil {
			return nil, err
		}
	} else if err := f.Write(brokersFile, []byte(strings.Join(in.Brokers, ",")+"\n")); err != nil {
		return nil, err
	}
	return m, f.Keep(m)
}

// Brokers are the addresses of brokers that a person was told, with commas between them; "" where there are none.
func (f Folder) Brokers() string {
	b, err := f.Read(brokersFile, 8<<10)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// CheckCity returns why an identity that a folder holds is not one of the city that an invite is to.
func (f Folder) CheckCity(invite *identity.Invite) error {
	m, err := f.Member()
	if err != nil {
		return err
	}
	if m.Admission.City.Pin() != invite.Pin {
		return fmt.Errorf("%s holds the identity of a member of another city than the one that the code is of", f.Folder)
	}
	return nil
}
