package city

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/trust"
)

// ErrLockout says that nobody could command the city's brokers any more, or not who asks.
var ErrLockout = errors.New("to do it all the same: --allow-lockout (\"lockout\": true)")

// Lockout returns why a statement should not be made without a further word: by it falls who asks, nil for nobody, or the last
// operator that is known here. It is nil otherwise.
func (s *Self) Lockout(p *identity.Proof, asks *identity.Admission) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := s.book.With(p)
	if err != nil {
		return err
	}
	switch before := operators(s.book, asks); {
	case len(before) > 0 && len(operators(next, asks)) == 0:
		return fmt.Errorf("%s is the last operator that is known here: nobody could invite, revoke or command brokers any more, until somebody makes another operator with the authority's key on a broker's disk (`ucp cluster operator`); %w", before[0].Name, ErrLockout)
	case asks != nil && s.book.Verify(asks) == nil && next.Verify(asks) != nil:
		return fmt.Errorf("it is you, %s, who would be shut out: your key would not be let in any more, and only another operator could invite you; %w", asks.Name, ErrLockout)
	}
	return nil
}

// operators are those that a book knows, and who asks: a broker that has just started may have heard of nobody else.
func operators(b *trust.Book, asks *identity.Admission) []*identity.Admission {
	known := b.Operators()
	if asks == nil || asks.Role != identity.Operator || b.Verify(asks) != nil || slices.ContainsFunc(known, func(a *identity.Admission) bool { return a.Key == asks.Key }) {
		return known
	}
	return append(known, asks)
}

// operatorsFile holds the admissions of operators that were made with the authority's key on a broker's disk, a line each.
const (
	operatorsFile = "operators"
	maxOperators  = 64 << 10 // bytes
)

// operators are those of operatorsFile.
func (f Folder) operators() (out []*identity.Admission, err error) {
	b, err := f.Read(operatorsFile, maxOperators)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: the list of operators is damaged: %w", f.Folder, err)
		}
		a, err := identity.DecodeAdmission(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// AdmitOperator makes a person an operator of a broker's city with the authority's key that lies in that broker's folder. It needs
// no network: every broker takes the person at once, and the broker tells the others of the admission when it starts. A name of
// "" is the first of wish, wish-2 and so on that nobody was admitted by there; one that is given is given again.
func AdmitOperator(broker, person Folder, name, wish, passphrase string, at time.Time) (*identity.Member, error) {
	m, err := broker.Member()
	if err != nil {
		return nil, err
	}
	if person.Held() {
		return nil, fmt.Errorf("%s holds an identity already: set UCP_IDENTITY to another directory, or move that one away", person.Folder)
	}
	by, err := broker.Authority(passphrase)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no authority's key lies in %s: go to a broker that keeps one, or to that where the city began", broker.Folder)
	case err != nil:
		return nil, err
	case !m.Authorities.InForce(by.Public()):
		return nil, fmt.Errorf("the key that lies in %s, %s, is no authority of the city", broker.Folder, by.Public())
	}
	before, err := broker.admitted()
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = wish
		for i := 2; before[name] > 0 || name == m.Admission.Name; i++ {
			name = fmt.Sprintf("%s-%d", wish, i)
		}
	}
	if !label.ValidName(name) || name == m.Admission.Name {
		return nil, fmt.Errorf("name %.80q: letters, digits and . _ -, at most 64, the first a letter or digit, and not that of the broker", name)
	}
	made, err := broker.operators()
	if err != nil {
		return nil, err
	}
	key, err := person.Key()
	if err != nil {
		return nil, err
	}
	a, err := by.Admit(m.Admission.City, name, key.Public(), identity.Operator, at, before[name])
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, a := range append(made, a) {
		text.WriteString(base64.StdEncoding.EncodeToString(a.Encode()) + "\n")
	}
	cityName, err := broker.CityName()
	if err != nil {
		return nil, err
	}
	operator := &identity.Member{Key: key, Admission: a, Authorities: m.Authorities}
	return operator, errors.Join(broker.keepAdmitted(before, a), broker.Write(operatorsFile, []byte(text.String())), person.keepName(cityName), person.Keep(operator))
}
