// Package register holds what small records of the replicated table have in common, whatever they say: which updates
// have made them, and the fields of newer brokers. Member records and settings are registers: one value a name.
//
// The package is pure. The rules are numbered in docs/protocol.md.
package register

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// maxCreated bounds the creations that are kept, the smallest by actor and counter (rules L2, L11).
const maxCreated = 8

// MaxSize bounds the encoding of a register, in bytes: the updates of 4,096 starts, whose actors have up to 80, and fields of newer brokers
// (rule L11). A record that embeds one allows for what else it holds.
const MaxSize = 320<<10 + canon.MaxUnknown

// Register is the part of a record that says which updates have made it. The record embeds it, and so implements most
// of ledger.Record. It is immutable.
type Register struct {
	Created []clock.Dot  `codec:"created"` // its creations
	Dots    clock.Vector `codec:"dots"`    // the latest update of each writer

	Unknown canon.Unknown `codec:"-"` // fields of a newer broker, kept (rule L2)
}

// New is the register of a record that this update creates.
func New(dot clock.Dot) Register {
	return Register{Created: []clock.Dot{dot}, Dots: clock.NewVector(dot)}
}

// With is the register after one more update.
func (r Register) With(dot clock.Dot) Register {
	r.Dots = r.Dots.Clone()
	r.Dots.Set(dot)
	return r
}

// Again is the register after one more update that says the same; created: as created again, since others would take it for
// one that they have forgotten (rules L7, K3).
func (r Register) Again(dot clock.Dot, created bool) Register {
	if created {
		r, _ = r.Merge(New(dot))
	}
	return r.With(dot)
}

// Merge is the join of two copies (rule L2): the smallest creations, the later updates, all unknown fields. It reports
// whether the result differs from r.
func (r Register) Merge(other Register) (m Register, changed bool) {
	var more [2]bool
	m = r
	m.Created, more[0] = canon.Smallest(r.Created, other.Created, clock.Dot.Compare, maxCreated)
	m.Unknown, more[1] = r.Unknown.Merge(other.Unknown)
	if !r.Dots.Covers(other.Dots) {
		m.Dots = r.Dots.Clone()
		m.Dots.Merge(other.Dots)
		changed = true
	}
	return m, changed || more != [2]bool{}
}

// Validate refuses what no broker writes: creations out of order, too many or none, or that are none of the updates;
// and counters of which nobody has as many (rules L10, L11, X1).
func (r Register) Validate() error {
	if len(r.Created) == 0 || len(r.Created) > maxCreated || !canon.Ascending(r.Created, clock.Dot.Compare) {
		return fmt.Errorf("it has %d creations, or they are out of order", len(r.Created))
	}
	if err := r.Dots.Valid(); err != nil {
		return err
	}
	if slices.ContainsFunc(r.Created, func(d clock.Dot) bool { return d.Counter == 0 || !r.Dots.Has(d) }) {
		return errors.New("a creation is none of its updates")
	}
	return nil
}

// Encode returns the canonical bytes of a record that embeds this register.
func (r Register) Encode(record any) []byte {
	if len(r.Unknown) > 0 {
		return canon.EncodeNewer(record)
	}
	return canon.Encode(record)
}

// Writers implements ledger.Record.
func (r *Register) Writers() clock.Vector { return r.Dots }

// Creations implements ledger.Record.
func (r *Register) Creations() iter.Seq[clock.Dot] { return slices.Values(r.Created) }

// Finished implements ledger.Record: what a name stands for may always change.
func (r *Register) Finished() bool { return false }

// Blobs implements ledger.Record: it needs none.
func (r *Register) Blobs() iter.Seq[string] { return slices.Values([]string(nil)) }

// CodecMissingField keeps a field of a newer broker (codec.MissingFielder).
func (r *Register) CodecMissingField(field []byte, v any) bool { return r.Unknown.Add(field, v) }

// CodecMissingFields gives the kept fields back (codec.MissingFielder).
func (r *Register) CodecMissingFields() map[string]any { return r.Unknown }
