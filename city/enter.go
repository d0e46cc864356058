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
	Gossip                 []string // whom to join; for brokers
}

// Files with the addresses that a new member was told, with commas between them: those of brokers, and for a broker those of the
// gossip, for a start before it has met anybody.
const (
	brokersFile = "brokers"
	gossipFile  = "gossip"
)

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
		if err := errors.Join(f.Write("keyring", in.Keyring), f.keepAddresses(gossipFile, in.Gossip)); err != nil {
			return nil, err
		}
	}
	if err := f.keepAddresses(brokersFile, in.Brokers); err != nil {
		return nil, err
	}
	return m, f.Keep(m)
}

func (f Folder) keepAddresses(name string, list []string) error {
	return f.Write(name, []byte(strings.Join(list, ",")+"\n"))
}

// addresses are those in a file, none where that is not to be read.
func (f Folder) addresses(name string) []string {
	b, err := f.Read(name, 8<<10)
	if text := strings.TrimSpace(string(b)); err == nil && text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

// Brokers are the addresses of brokers that a new member was told.
func (f Folder) Brokers() []string { return f.addresses(brokersFile) }

// Gossip is whom a new broker was told to join.
func (f Folder) Gossip() []string { return f.addresses(gossipFile) }

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
