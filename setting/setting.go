// Package setting holds the settings that a whole cluster shares, such as the strategy for
// conflicts: registers in the replicated table, of which the newest version wins everywhere.
//
// The package is pure. The rules are numbered in docs/protocol.md.
package setting

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/register"
)

// Bounds of a setting (rule L11).
const (
	MaxSize  = 4<<10 + register.MaxSize // bytes of its encoding: each start that has written it is named in it
	maxValue = 256                      // bytes of its value
)

// Setting is a value that all brokers of a cluster adopt, also those that join late:
// a register in the ledger. The highest version holds: first by number, so that a clock
// that is an hour ahead does not win for an hour (rule I3), then by time and writer.
// Settings are immutable, never finished and never forgotten.
type Setting struct {
	Name  string       `codec:"name"`
	Value string       `codec:"value"`
	Seq   uint64       `codec:"seq"` // grows with every change that saw the one before
	At    clock.Hybrid `codec:"at"`
	By    clock.Actor  `codec:"by"`

	// Seen are the emergencies of which the writer of this version, or of one before it, knew; see [Setting.HasSeen].
	Seen *Seen `codec:"seen,omitempty"`

	// Said is what an authority of the city has said (package trust), in a setting of its own; "" in all others. It is bytes, and
	// no text: as a string it stays the same at brokers that don't know the field.
	Said string `codec:"said,omitempty"`

	register.Register
}

// Seen lists emergencies that were in force when a version of a setting was written, and of which its writer knew. Copies
// that a broker of an earlier version has merged keep the greater encoding of two: it is a list that begins with the
// version, so that of two the later version is the greater.
type Seen struct {
	//lint:ignore U1000 the codec reads its tag
	_struct struct{} `codec:",toarray"`

	Seq uint64       // Seq, At and By are those of the version
	At  clock.Hybrid //
	By  clock.Actor  //
	IDs []string     // at most MaxSeen, ascending
}

// MaxSeen is how many emergencies a setting names (rule L11).
const MaxSeen = 16

// New returns the version of a setting that follows another, nil for none, as the actor of the dot writes it. What earlier
// versions have seen stays in it, or a copy of one of them would still be news to who holds this one (rule L2).
func New(name string, before *Setting, value string, at clock.Hybrid, dot clock.Dot) *Setting {
	s := &Setting{Name: name, Value: value, Seq: 1, At: at, By: dot.Actor, Register: register.New(dot)}
	if before != nil {
		s.Seq, s.Seen, s.Register = clock.Following(before.Seq), before.Seen, before.With(dot)
		s.Said = before.Said
	}
	return s
}

// See returns the setting with the emergencies that the writer of its version knows of, at most [MaxSeen]: the first ones count.
func (s *Setting) See(ids []string) *Setting {
	if len(ids) == 0 {
		return s
	}
	c := *s
	c.Seen = &Seen{Seq: s.Seq, At: s.At, By: s.By, IDs: slices.Sorted(slices.Values(ids[:min(len(ids), MaxSeen)]))}
	return &c
}

// Same reports whether both are the same version of a setting.
func (s *Setting) Same(t *Setting) bool { return s.compare(t) == 0 }

// HasSeen reports whether the value was set in view of an emergency: while it was in force, by a broker that knew of it
// (rule E5). It depends on the record alone.
func (s *Setting) HasSeen(id string) bool {
	return s.Seen != nil && s.Seen.Seq == s.Seq && s.Seen.At == s.At && s.Seen.By == s.By && slices.Contains(s.Seen.IDs, id)
}

// Key implements ledger.Record.
func (s *Setting) Key() string { return s.Name }

// Encode implements ledger.Record.
func (s *Setting) Encode() []byte { return s.Register.Encode(s) }

// Decode reads and validates a setting of a peer (rules L10, L11).
func Decode(b []byte) (*Setting, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("setting of %d bytes, at most %d are allowed", len(b), MaxSize)
	}
	return DecodeStored(b)
}

// DecodeStored reads and validates a setting that this broker has stored, however large.
func DecodeStored(b []byte) (*Setting, error) {
	s := new(Setting)
	if err := canon.Decode(b, s); err != nil {
		return nil, fmt.Errorf("setting: %w", err)
	}
	s.Unknown = s.Unknown.Bounded()
	switch {
	case !label.ValidName(s.Name):
		return nil, errors.New("a setting has no valid name")
	case len(s.Value) > maxValue || s.Seq == 0 || s.Seq > clock.MaxCounter || s.By == "":
		return nil, fmt.Errorf("setting %q has %d bytes, version %d of %q", s.Name, len(s.Value), s.Seq, s.By)
	}
	if s.Seen != nil && (len(s.Seen.IDs) > MaxSeen || !canon.Ascending(s.Seen.IDs, strings.Compare)) {
		return nil, fmt.Errorf("setting %q names %d emergencies, or they are out of order", s.Name, len(s.Seen.IDs))
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("setting %q: %w", s.Name, err)
	}
	return s, nil
}

// compare orders versions of one setting.
func (s *Setting) compare(t *Setting) int {
	return cmp.Or(cmp.Compare(s.Seq, t.Seq), cmp.Compare(s.At, t.At), cmp.Compare(s.By, t.By))
}

// Merge joins two copies (rule L2): the highest version's value, the greater encoding of what was seen, and the join of the
// registers.
func Merge(a, b *Setting) (*Setting, bool) {
	m := *a
	var changed bool
	m.Register, changed = a.Register.Merge(b.Register)
	if b.compare(a) > 0 {
		m.Value, m.Seq, m.At, m.By, changed = b.Value, b.Seq, b.At, b.By, true
	}
	if b.Seen != nil && (a.Seen == nil || bytes.Compare(canon.Encode(b.Seen), canon.Encode(a.Seen)) > 0) {
		m.Seen, changed = b.Seen, true
	}
	if b.Said > a.Said {
		m.Said, changed = b.Said, true
	}
	if !changed {
		return a, false
	}
	return &m, true
}
