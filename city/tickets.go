package city

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urban-compute/ucp/identity"
)

// ticketsFile holds the tickets of a door: their hashes, not the tickets.
const (
	ticketsFile = "tickets"
	maxTickets  = 256 << 10 // bytes
)

// storedTicket is a ticket on disk.
type storedTicket struct {
	Hash    []byte        `json:"hash"`
	Name    string        `json:"name,omitempty"`
	Role    identity.Role `json:"role"`
	TTL     time.Duration `json:"ttl"`
	Ends    time.Time     `json:"ends"`
	Entered []byte        `json:"entered,omitempty"` // the admission
}

// keep writes the tickets down; the lock is held.
func (d *Door) keep() error {
	list := []storedTicket{}
	for _, t := range d.tickets {
		x := storedTicket{Hash: t.hash[:], Name: t.invite.Name, Role: t.invite.Role, TTL: t.invite.TTL, Ends: t.ends}
		if t.entered != nil {
			x.Entered = t.entered.Encode()
		}
		list = append(list, x)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("the invites of this broker: %w", err)
	}
	return d.self.folder.Write(ticketsFile, b)
}

// recall reads the tickets of an earlier start. One that is open needs the key of the authority again: where that is
// encrypted, it is void.
func (d *Door) recall() error {
	b, err := d.self.folder.Read(ticketsFile, maxTickets)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var list []storedTicket
	if err := json.Unmarshal(b, &list); err != nil || len(list) > maxInvites {
		return errors.Join(errors.New("the file with the invites of this broker is damaged: they are void"), err)
	}
	by, noKey := d.self.folder.Authority("")
	for _, x := range list {
		t := &ticket{invite: Invitation{Name: x.Name, Role: x.Role, TTL: x.TTL}, ends: x.Ends}
		if len(x.Hash) != len(t.hash) || !x.Role.Valid() {
			return errors.New("the file with the invites of this broker is damaged: not all of them hold")
		}
		copy(t.hash[:], x.Hash)
		switch {
		case x.Entered != nil:
			if t.entered, err = identity.DecodeAdmission(x.Entered); err != nil {
				return err
			}
		case noKey != nil:
			continue
		default:
			t.by = by
		}
		d.tickets = append(d.tickets, t)
	}
	return nil
}
