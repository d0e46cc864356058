package city

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/urban-compute/ucp/identity"
)

// Founding is a city that is to begin.
type Founding struct {
	Name       string // of the city, for people; may be ""
	Passphrase string // that encrypts the authority's key; "" for none
	Broker     string // name of its first broker
	Operator   string // name of the person who founds it; "" for nobody
	At         time.Time
	Keyring    func(path string) error // makes the keyring of the gossip
}

// Found begins a city in a broker's folder: its first authority, and that broker's identity. If person is given, it gets
// the identity of the city's first operator. What was left by an attempt that broke off is used again.
func Found(broker Folder, person *Folder, f Founding) (*identity.Member, error) {
	if broker.Held() {
		return nil, fmt.Errorf("%s holds an identity already: this broker belongs to a city", broker.Folder)
	}
	if person != nil && person.Held() {
		return nil, fmt.Errorf("%s holds an identity already: you belong to a city; set UCP_IDENTITY to another directory, or to - to stay nobody in this one", person.Folder)
	}
	if person != nil && f.Operator == f.Broker {
		return nil, fmt.Errorf("%s can't be the name of the broker and of its operator: give one of them another name", f.Broker)
	}
	authority, err := broker.NewAuthority(f.Passphrase)
	if err != nil {
		return nil, err
	}
	of := identity.FoundCity(authority.Public())
	if err := broker.keepName(f.Name); err != nil {
		return nil, err
	}
	if _, err := os.Stat(broker.Keyring()); errors.Is(err, fs.ErrNotExist) {
		err = f.Keyring(broker.Keyring())
		if err != nil {
			return nil, err
		}
	}
	if person != nil {
		if err := person.keepName(f.Name); err != nil {
			return nil, err
		}
		m, err := Enrol(*person, authority, of, f.Operator, identity.Operator, f.At)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(broker.keepAdmitted(map[string]uint64{}, m.Admission), broker.Write(foundersFile, m.Admission.Encode())); err != nil {
			return nil, err
		}
	}
	return Enrol(broker, authority, of, f.Broker, identity.Broker, f.At) // last: with it the city is founded
}

// Enrol gives a folder an identity: the membership of a name, signed with the key of an authority that is at hand.
func Enrol(f Folder, by identity.Key, of *identity.Authorities, name string, role identity.Role, at time.Time) (*identity.Member, error) {
	key, err := f.Key()
	if err != nil {
		return nil, err
	}
	a, err := by.Admit(of.City(), name, key.Public(), role, at, 0)
	if err != nil {
		return nil, err
	}
	m := &identity.Member{Key: key, Admission: a, Authorities: of}
	return m, f.Keep(m)
}
