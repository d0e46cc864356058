package city

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/label"
)

// Bounds of invites.
const (
	maxInvites = 64                 // open at once
	MaxTTL     = 7 * 24 * time.Hour // of an invite

	// Attempts to come in, from one address and in all: a second, and at once.
	attemptsOfOne, attemptsOfOneAtOnce = 1, 8
	attempts, attemptsAtOnce           = 20, 40
	maxSources                         = 1024 // that are told apart
)

// Invitation is what an operator asks of a broker: that it lets somebody in.
type Invitation struct {
	Name       string        // of the new member; "" lets it choose one that nobody has
	Role       identity.Role // of the new member
	TTL        time.Duration // how long the invite holds
	Passphrase string        // of the authority's key at this broker; "" where it has none
}

// Arrival is what somebody shows who has an invite.
type Arrival struct {
	Ticket identity.Ticket
	Key    identity.PublicKey
	Name   string // that it would like to have
	Broker bool   // it is a broker, not a person or a program
}

// Errors of [Door.Invite] and [Door.Enter], beside what is wrong with a question.
var (
	// ErrTicket says that a ticket lets nobody in.
	ErrTicket = errors.New("this invite is not one of this broker's, was used, or is over: ask for another one")
	// ErrBarred says that a key is not admitted again.
	ErrBarred = errors.New("the membership of this key was revoked: come with another one, from an empty directory")
	// ErrTooOften says that too many have tried to come in.
	ErrTooOften = errors.New("too many attempts to come in; try again in a few seconds")
	// ErrTaken says that a name is taken.
	ErrTaken = errors.New("the city has a member of this name already")
)

// ticket is an invite that is open, or was used: whoever used it may ask again, since the answer may have been lost.
type ticket struct {
	hash    identity.TicketHash
	invite  Invitation
	by      identity.Key // the authority that admits
	ends    time.Time
	entered *identity.Admission // nil while it is open
}

// Door lets new members into a city, each by a ticket that an operator has asked for. Tickets outlive the process, unless the
// authority's key is encrypted. Its methods may be called by several goroutines at once.
type Door struct {
	self *Self

	mu      sync.Mutex
	tickets []*ticket
	all     *rate.Limiter
	sources map[string]*rate.Limiter
}

// NewDoor makes the door of a broker.
func NewDoor(s *Self) *Door {
	d := &Door{self: s, all: rate.NewLimiter(attempts, attemptsAtOnce), sources: map[string]*rate.Limiter{}}
	if err := d.recall(); err != nil {
		s.log.Error("invites of an earlier start", "error", err)
	}
	return d
}

// Invite makes an invite to the city, which begins at an address of this broker. Taken reports whether a name is one of a
// member that is there.
func (d *Door) Invite(in Invitation, addr string, now time.Time, taken func(string) bool) (*identity.Invite, error) {
	switch {
	case !in.Role.Valid():
		return nil, fmt.Errorf("role %.40q: broker, operator or client", in.Role)
	case in.Name != "" && !label.ValidName(in.Name):
		return nil, fmt.Errorf("name %.80q: letters, digits and . _ -, at most 64, the first a letter or digit", in.Name)
	case in.TTL <= 0 || in.TTL > MaxTTL:
		return nil, fmt.Errorf("an invite holds for more than nothing and at most %v, not %v", MaxTTL, in.TTL)
	case in.Name != "" && taken(in.Name):
		return nil, fmt.Errorf("%w: %s", ErrTaken, in.Name)
	}
	by, err := d.self.authority(in.Passphrase)
	if err != nil {
		return nil, err
	}
	secret, err := identity.NewTicket(rand.Reader)
	if err != nil {
		return nil, err
	}
	in.Passphrase = ""
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	if len(d.tickets) == maxInvites {
		return nil, fmt.Errorf("%d invites are open at this broker, and no more can be", maxInvites)
	}
	d.tickets = append(d.tickets, &ticket{hash: secret.Hash(), invite: in, by: by, ends: now.Add(in.TTL)})
	if err := d.keep(); err != nil {
		d.tickets = d.tickets[:len(d.tickets)-1]
		return nil, err
	}
	return &identity.Invite{Pin: d.self.Authorities().City().Pin(), Ticket: secret, Addr: addr}, nil
}

// forget drops the tickets that are over; the lock is held.
func (d *Door) forget(now time.Time) {
	kept := d.tickets[:0]
	for _, t := range d.tickets {
		if now.Before(t.ends) {
			kept = append(kept, t)
		}
	}
	clear(d.tickets[len(kept):])
	d.tickets = kept
}

// Enter admits who has a ticket, once. Source is where it comes from; taken is as of [Door.Invite], for any member that there was.
func (d *Door) Enter(a Arrival, source string, now time.Time, taken func(string) bool) (*identity.Admission, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mayTry(source, now) {
		return nil, ErrTooOften
	}
	d.forget(now)
	t := d.find(a.Ticket)
	switch {
	case t == nil:
		return nil, ErrTicket
	case !a.Key.Valid():
		return nil, errors.New("no key that could be admitted")
	case t.entered != nil && t.entered.Key == a.Key:
		return t.entered, nil
	case t.entered != nil:
		return nil, ErrTicket
	case a.Broker != (t.invite.Role == identity.Broker):
		return nil, fmt.Errorf("this invite is for %s: %s", map[bool]string{true: "a broker", false: "a person or a program"}[t.invite.Role == identity.Broker],
			map[bool]string{true: "ucp agent --invite CODE", false: "ucp login CODE"}[t.invite.Role == identity.Broker])
	}
	before, err := d.self.folder.admitted()
	if err != nil {
		return nil, err
	}
	last, barred := d.self.known(t.invite.Name, a)
	if barred {
		return nil, ErrBarred
	}
	name := t.invite.Name
	if name == "" {
		name = a.Name
		switch {
		case !label.ValidName(name):
			return nil, fmt.Errorf("name %.80q: letters, digits and . _ -, at most 64, the first a letter or digit", name)
		case taken(name) || before[name] > 0 || last > 0 || name == d.self.Name():
			return nil, fmt.Errorf("%w: %s; take another one with --name", ErrTaken, name)
		}
	}
	admitted, err := t.by.Admit(d.self.Authorities().City(), name, a.Key, t.invite.Role, now, max(before[name], last))
	if err != nil {
		return nil, err
	}
	if err := d.self.folder.keepAdmitted(before, admitted); err != nil {
		return nil, err
	}
	by := t.by
	t.entered, t.by = admitted, identity.Key{}
	if err := d.keep(); err != nil { // else another key could use it after a restart
		t.entered, t.by = nil, by
		return nil, err
	}
	return admitted, nil
}

// find returns the ticket with this secret. How long it takes tells nothing of those that there are.
func (d *Door) find(secret identity.Ticket) (found *ticket) {
	hash := secret.Hash()
	for _, t := range d.tickets {
		if subtle.ConstantTimeCompare(t.hash[:], hash[:]) == 1 {
			found = t
		}
	}
	return found
}

// mayTry bounds attempts; the lock is held.
func (d *Door) mayTry(source string, now time.Time) bool {
	one := d.sources[source]
	if one == nil {
		if len(d.sources) == maxSources {
			clear(d.sources) // the bound of all holds
		}
		one = rate.NewLimiter(attemptsOfOne, attemptsOfOneAtOnce)
		d.sources[source] = one
	}
	return one.AllowN(now, 1) && d.all.AllowN(now, 1)
}
