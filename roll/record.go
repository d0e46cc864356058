package roll

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/register"
)

// MaxSize bounds the encoding of a record, in bytes: most of it are the dots of those who wrote it (rule L11).
const MaxSize = register.MaxSize

// Closing says how a name left the roll.
type Closing string

// The ways out of the roll: nobody leaves it by a timeout (rule M2).
const (
	Left    Closing = "left"    // the broker said goodbye itself, when enough others held all that it held
	Removed Closing = "removed" // an operator said that it will not come back
)

// Record is one name in the roll: a register in the ledger. It is immutable, never finished and never forgotten.
type Record struct {
	Name   string       `codec:"name"`
	Epoch  uint64       `codec:"epoch"`            // grows with each opening
	Closed Closing      `codec:"closed,omitempty"` // "" while it is open
	At     clock.Hybrid `codec:"at"`
	By     clock.Dot    `codec:"by"` // the update that said so

	register.Register
}

// Open reports whether the name is in the roll.
func (r *Record) Open() bool { return r.Closed == "" }

// Last reports whether no epoch can follow: the name is not opened again, and what it says is not said again (rule X1).
func (r *Record) Last() bool { return r.Epoch == clock.MaxCounter }

// Key implements ledger.Record.
func (r *Record) Key() string { return r.Name }

// Encode implements ledger.Record.
func (r *Record) Encode() []byte { return r.Register.Encode(r) }

// Change makes the record that follows old, nil when the name had none, by an update with this dot: closed as it
// says, or with "" open. An opening after a close begins the next epoch, and so does what says the same again, since
// the update that had said it is lost; a close stays in the epoch that it closes.
func Change(old *Record, name string, closed Closing, dot clock.Dot, at clock.Hybrid) *Record {
	r := &Record{Name: name, Epoch: 1, Closed: closed, At: at, By: dot, Register: register.New(dot)}
	if old != nil {
		r.Epoch, r.Register = old.Epoch, old.With(dot)
		if closed == "" || closed == old.Closed {
			r.Epoch = clock.Following(r.Epoch)
		}
	}
	return r
}

// Again is the record as another update says the same at a time; created: as in [register.Register.Again].
func (r *Record) Again(dot clock.Dot, at clock.Hybrid, created bool) *Record {
	c := *r
	c.By, c.At, c.Register = dot, at, r.Register.Again(dot, created)
	return &c
}

// compare orders what is said of one name: the higher epoch, then a close before an opening, then the later word.
func (r *Record) compare(s *Record) int {
	return cmp.Or(cmp.Compare(r.Epoch, s.Epoch), cmp.Compare(r.Closed, s.Closed), cmp.Compare(r.At, s.At), r.By.Compare(s.By))
}

// Merge joins two copies (rules L2, M1): the greater by epoch, close, time and writer, and the join of the registers. It
// reports whether the result differs from a.
func Merge(a, b *Record) (*Record, bool) {
	m := *a
	var changed bool
	m.Register, changed = a.Register.Merge(b.Register)
	if b.compare(a) > 0 {
		m.Epoch, m.Closed, m.At, m.By, changed = b.Epoch, b.Closed, b.At, b.By, true
	}
	if !changed {
		return a, false
	}
	return &m, true
}

// Decode reads and validates the record of a peer (rules L10, L11).
func Decode(b []byte) (*Record, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("member of %d bytes, at most %d are allowed", len(b), MaxSize)
	}
	return DecodeStored(b)
}

// DecodeStored reads and validates a record that this broker has stored, however large.
func DecodeStored(b []byte) (*Record, error) {
	r := new(Record)
	if err := canon.Decode(b, r); err != nil {
		return nil, fmt.Errorf("member: %w", err)
	}
	r.Unknown = r.Unknown.Bounded()
	switch {
	case !label.ValidName(r.Name):
		return nil, errors.New("a member has no valid name")
	case r.Epoch == 0 || r.Epoch > clock.MaxCounter:
		return nil, fmt.Errorf("member %q has epoch %d", r.Name, r.Epoch)
	case r.Closed != "" && r.Closed != Left && r.Closed != Removed:
		return nil, fmt.Errorf("member %q is %q", r.Name, r.Closed)
	}
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("member %q: %w", r.Name, err)
	}
	if r.By.IsZero() || !r.Dots.Has(r.By) {
		return nil, fmt.Errorf("member %q is what %v says, which is none of its updates %v", r.Name, r.By, r.Dots)
	}
	return r, nil
}
