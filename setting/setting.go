// Package setting holds the settings that a whole cluster shares, such as the strategy for
// conflicts: registers in the replicated table, of which the newest version wins everywhere.
//
// The package is pure. The rules are numbered in docs/protocol.md.
package setting

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// Bounds of a setting (rule L11).
const (
	maxSize    = 4 << 10 // bytes of its encoding
	maxValue   = 256     // bytes of its value
	maxCreated = 8       // creations, the smallest by actor and counter
)

// Setting is a value that all brokers of a cluster adopt, also those that join late:
// a register in the ledger. The highest version holds: first by number, so that a clock
// that is an hour ahead does not win for an hour (rule I3), then by time and writer.
// Settings are immutable, never finished and never forgotten.
type Setting struct {
	Name    string       `codec:"name"`
	Value   string       `codec:"value"`
	Seq     uint64       `codec:"seq"` // grows with every change that saw the one before
	At      clock.Hybrid `codec:"at"`
	By      clock.Actor  `codec:"by"`
	Created []clock.Dot  `codec:"created"`
	Dots    clock.Vector `codec:"dots"`

	Unknown canon.Unknown `codec:"-"` // fields of a newer broker, kept (rule L2)
}

// Key implements ledger.Record.
func (s *Setting) Key() string { return s.Name }

// Writers implements ledger.Record.
func (s *Setting) Writers() clock.Vector { return s.Dots }

// Finished implements ledger.Record.
func (s *Setting) Finished() bool { return false }

// Creations implements ledger.Record.
func (s *Setting) Creations() iter.Seq[clock.Dot] { return slices.Values(s.Created) }

// Blobs implements ledger.Record: a setting needs none.
func (s *Setting) Blobs() iter.Seq[string] { return slices.Values([]string(nil)) }

// Encode implements ledger.Record.
func (s *Setting) Encode() []byte {
	if len(s.Unknown) > 0 {
		return canon.EncodeNewer(s)
	}
	return canon.Encode(s)
}

// CodecMissingField keeps a field of a newer broker (codec.MissingFielder).
func (s *Setting) CodecMissingField(field []byte, v any) bool { return s.Unknown.Add(field, v) }

// CodecMissingFields gives the kept fields back (codec.MissingFielder).
func (s *Setting) CodecMissingFields() map[string]any { return s.Unknown }

// Decode reads and validates a setting of a peer or a disk (rules L10, L11).
func Decode(b []byte) (*Setting, error) {
	if len(b) > maxSize {
		return nil, fmt.Errorf("setting of %d bytes, at most %d are allowed", len(b), maxSize)
	}
	s := new(Setting)
	if err := canon.Decode(b, s); err != nil {
		return nil, fmt.Errorf("setting: %w", err)
	}
	switch {
	case !label.ValidName(s.Name):
		return nil, errors.New("a setting has no valid name")
	case len(s.Value) > maxValue || s.Seq == 0 || s.Seq > clock.MaxCounter || s.By == "":
		return nil, fmt.Errorf("setting %q has %d bytes, version %d of %q", s.Name, len(s.Value), s.Seq, s.By)
	case len(s.Created) == 0 || len(s.Created) > maxCreated || !canon.Ascending(s.Created, clock.Dot.Compare):
		return nil, fmt.Errorf("setting %q has %d creations", s.Name, len(s.Created))
	}
	if err := s.Dots.Valid(); err != nil {
		return nil, fmt.Errorf("setting %q: %w", s.Name, err)
	}
	return s, nil
}

// compare orders versions of one setting.
func (s *Setting) compare(t *Setting) int {
	return cmp.Or(cmp.Compare(s.Seq, t.Seq), cmp.Compare(s.At, t.At), cmp.Compare(s.By, t.By))
}

// Merge joins two copies (rule L2): the highest version's value, the
// smallest creations, the join of the dots, all unknown fields.
func Merge(a, b *Setting) (*Setting, bool) {
	m, changed := *a, false
	if b.compare(a) > 0 {
		m.Value, m.Seq, m.At, m.By, changed = b.Value, b.Seq, b.At, b.By, true
	}
	var more [2]bool
	m.Created, more[0] = canon.Smallest(a.Created, b.Created, clock.Dot.Compare, maxCreated)
	m.Unknown, more[1] = a.Unknown.Merge(b.Unknown)
	if !a.Dots.Covers(b.Dots) {
		m.Dots = a.Dots.Clone()
		m.Dots.Merge(b.Dots)
		changed = true
	}
	if !changed && more == [2]bool{} {
		return a, false
	}
	return &m, true
}
