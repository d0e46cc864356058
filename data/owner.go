package data

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// Owner says to whom a name belongs, in a city: who has written it first (rule D9). It is immutable.
type Owner struct {
	Subject string       `codec:"subject,omitempty"` // a member of the city, or the subject of a token; "" is nobody: all was removed
	Epoch   uint64       `codec:"epoch,omitempty"`   // grows with each deletion of the name
	At      clock.Hybrid `codec:"at"`
	Dot     clock.Dot    `codec:"dot"` // the update that says so
}

// before reports whether this is what counts of two: the later epoch, somebody before nobody, then who was there first.
func (o *Owner) before(p *Owner) bool {
	switch {
	case p == nil || o == nil:
		return o != nil
	case o.Epoch != p.Epoch:
		return o.Epoch > p.Epoch
	case (o.Subject == "") != (p.Subject == ""):
		return o.Subject != ""
	}
	return cmp.Or(cmp.Compare(o.At, p.At), o.Dot.Compare(p.Dot), cmp.Compare(o.Subject, p.Subject)) < 0
}

func (o *Owner) validate() error {
	switch {
	case o.Subject != "" && !label.ValidName(o.Subject):
		return fmt.Errorf("it belongs to %.80q", o.Subject)
	case o.Epoch > clock.MaxCounter || o.At == 0 || o.At > clock.MaxCounter || o.Dot.Counter == 0 || !validActor(o.Dot.Actor):
		return fmt.Errorf("it belongs to %s by %.80q, at %v", o.Subject, o.Dot, o.At)
	case o.Subject == "" && o.Epoch == 0:
		return errors.New("it belongs to nobody, and nothing was deleted")
	}
	return nil
}

// Owner is to whom the name belongs; "" is nobody. R may be nil.
func (r *Record) Owner() string {
	if r == nil || r.Owned == nil {
		return ""
	}
	return r.Owned.Subject
}

// ClaimedBy is the record, which an update at a time has just written, as that of a subject, if it belongs to nobody yet; "" claims nothing.
func (r *Record) ClaimedBy(subject string, at clock.Hybrid, dot clock.Dot) *Record {
	if subject == "" || r.Owner() != "" {
		return r
	}
	c := *r
	c.Owned = &Owner{Subject: subject, At: at, Dot: dot}
	if r.Owned != nil {
		c.Owned.Epoch = r.Owned.Epoch
	}
	return &c
}

// Released is the record, all of which an update at a time has just removed, as nobody's. R may be nil.
func (r *Record) Released(at clock.Hybrid, dot clock.Dot) *Record {
	if r.Owner() == "" {
		return r
	}
	c := *r
	c.Owned = &Owner{Epoch: clock.Following(r.Owned.Epoch), At: at, Dot: dot}
	return &c
}
