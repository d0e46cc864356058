package city

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/label"
)

// Admitted is what a broker of the city answers to who has an invite.
type Admitted struct {
	Admission, Authorities []byte
	City                   string // its name, for people; may be ""
	Keyring                []byte // of the gossip; for brokers
	Brokers                []string
	Gossip                 []string // whom to join; for brokers
	Adopted                []string // who takes part and was not let in: the roll had them before the city began (rule M6); for brokers
}

// Files with the addresses that a new member was told, with commas between them: those of brokers, and for a broker those of the
// gossip, for a start before it has met anybody.
const (
	brokersFile = "brokers"
	gossipFile  = "gossip"
)

// adoptedFile has the names of those that take part and were let in by nobody, for a broker's first start. They are brokers of the cluster
// that became a city, and have not come yet.
const (
	adoptedFile = "adopted"
	MaxAdopted  = 512 // names
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
		if err := errors.Join(f.Write("keyring", in.Keyring), f.keepAddresses(gossipFile, in.Gossip), f.keepAdopted(in.Adopted)); err != nil {
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

func (f Folder) keepAdopted(names []string) error {
	if len(names) > MaxAdopted || slices.ContainsFunc(names, func(name string) bool { return !label.ValidName(name) }) {
		return errors.New("the broker that was asked has named somebody who takes part by what is no broker's name")
	}
	return f.keepAddresses(adoptedFile, names)
}

// addresses are those in a file, none where that is not to be read.
func (f Folder) addresses(name string) []string {
	b, err := f.Read(name, 64<<10) // more than addresses take
	if text := strings.TrimSpace(string(b)); err == nil && text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

// Brokers are the addresses of brokers that a new member was told.
func (f Folder) Brokers() []string { return f.addresses(brokersFile) }

// Gossip is whom a new broker was told to join.
func (f Folder) Gossip() []string { return f.addresses(gossipFile) }

// Adopted are the names that take part and were let in by nobody, as a new broker was told.
func (f Folder) Adopted() []string { return f.addresses(adoptedFile) }

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
