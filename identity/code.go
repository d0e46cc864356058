package identity

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
)

// Ticket lets one key into a city. It is a secret: who gives it out keeps only its hash.
type Ticket [10]byte

// TicketHash is what is kept of a ticket.
type TicketHash [32]byte

// Hash is the ticket's hash.
func (t Ticket) Hash() TicketHash { return sha256.Sum256(append([]byte("ucp ticket\x00"), t[:]...)) }

// NewTicket draws a ticket.
func NewTicket(random io.Reader) (t Ticket, err error) {
	if _, err := io.ReadFull(random, t[:]); err != nil {
		return t, fmt.Errorf("identity: randomness for a ticket: %w", err)
	}
	return t, nil
}

// Invite is what an invite code says: which city it is, a ticket for it, and at which broker.
type Invite struct {
	Pin    Pin
	Ticket Ticket
	Addr   string // HOST:PORT of the broker's HTTP address
}

// Bounds of an invite code.
const (
	// MaxCode is how many characters a code has at most beside the address.
	MaxCode    = 40
	maxTyped   = 4 * MaxCode // with the spaces that a person may add
	maxAddress = 256 + len("[]:65535")
)

// inviteVersion is the first byte of a code.
const inviteVersion = 1

// Code is the invite's text without the address.
func (i *Invite) Code() string {
	b := []byte{inviteVersion}
	b = append(b, i.Pin[:]...)
	return armour(append(b, i.Ticket[:]...))
}

// String is the whole invite as it is printed and typed: CODE@HOST:PORT.
func (i *Invite) String() string { return i.Code() + "@" + i.Addr }

// ParseInvite reads CODE@HOST:PORT as a person has typed it: letters of either case, O for 0 and I or L for 1, dashes and
// spaces wherever they are.
func ParseInvite(typed string) (*Invite, error) {
	code, addr, found := strings.Cut(strings.TrimSpace(typed), "@")
	if addr = strings.TrimSpace(addr); !found || addr == "" || len(addr) > maxAddress || len(code) > maxTyped {
		return nil, fmt.Errorf("identity: an invite is written CODE@HOST:PORT, as `ucp cluster invite` prints it")
	}
	b, err := unarmour(code)
	if err != nil {
		return nil, err
	}
	i := &Invite{Addr: addr}
	if len(b) != 1+len(i.Pin)+len(i.Ticket) {
		return nil, errTyped
	}
	if b[0] != inviteVersion {
		return nil, fmt.Errorf("identity: this invite code is of another version (%d) than this program reads (%d)", b[0], inviteVersion)
	}
	copy(i.Pin[:], b[1:])
	copy(i.Ticket[:], b[1+len(i.Pin):])
	return i, nil
}
