package job

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// handle is the canonical encoding: msgpack maps with sorted string keys, so
// that equal values have equal bytes on every machine.
var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.Canonical = true
	h.WriteExt = true
	h.RawToString = true
	return h
}()

// encode returns the canonical bytes of a value of this package. These values
// hold nothing that msgpack can't express, so it can't fail.
func encode(v any) []byte {
	var out []byte
	if err := codec.NewEncoderBytes(&out, handle).Encode(v); err != nil {
		panic("job: encoding " + err.Error())
	}
	return out
}

// Encode returns the record's canonical bytes: equal records, equal bytes.
func (r *Record) Encode() []byte { return encode(r) }

// DecodeRecord reads a record that came from a disk or a peer and validates it
// (rules L10, L11), so that all other methods may take it for granted.
func DecodeRecord(b []byte) (*Record, error) {
	if len(b) > MaxRecord {
		return nil, fmt.Errorf("job record: %d bytes, at most %d are allowed", len(b), MaxRecord)
	}
	r := new(Record)
	if err := codec.NewDecoderBytes(b, handle).Decode(r); err != nil {
		return nil, fmt.Errorf("job record: %w", err)
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("job record %.64q: %w", r.ID, err)
	}
	r.key = Key(r.ID, r.Spec.Digest())
	return r, nil
}

func (r *Record) validate() error {
	switch {
	case !ValidName(string(r.ID)):
		return errors.New("it has no valid ID")
	case len(r.Created) == 0 || len(r.Created) > MaxCreated:
		return fmt.Errorf("it has %d creations", len(r.Created))
	case len(r.Verdicts) > MaxVerdicts || len(r.Reports) > MaxReports:
		return fmt.Errorf("it has %d verdicts and %d reports", len(r.Verdicts), len(r.Reports))
	case !slices.IsSortedFunc(r.Created, Stamp.compare) || !slices.IsSortedFunc(r.Verdicts, Verdict.compare):
		return errors.New("its creations or verdicts are out of order")
	case r.Owner.Broker == "" || r.Owner.Actor == "":
		return errors.New("nobody owns it")
	}
	for _, s := range r.Created {
		if !r.Dots.Has(s.Dot) || s.Dot.IsZero() {
			return fmt.Errorf("its creation %v is not among its dots", s.Dot)
		}
	}
	for i, rep := range r.Reports {
		if rep.Dot.IsZero() || (rep.Phase == Done) != (rep.Result != nil) || i > 0 && r.Reports[i-1].Dot.Actor >= rep.Dot.Actor {
			return fmt.Errorf("the report of %.80q is inconsistent or out of order", rep.Dot.Actor)
		}
	}
	if err := r.Dots.Valid(); err != nil {
		return err
	}
	return r.Spec.Validate()
}

// Unknown holds the fields that this version does not know, by name (rule L2).
type Unknown map[string]any

func (u *Unknown) add(field []byte, v any) bool {
	if *u == nil {
		*u = Unknown{}
	}
	(*u)[string(field)] = v
	return true
}

// CodecMissingField keeps a field of a newer broker (codec.MissingFielder).
func (r *Record) CodecMissingField(field []byte, v any) bool { return r.Unknown.add(field, v) }

// CodecMissingFields gives the kept fields back (codec.MissingFielder).
func (r *Record) CodecMissingFields() map[string]any { return r.Unknown }

// CodecMissingField keeps a field of a newer broker (codec.MissingFielder).
func (s *Spec) CodecMissingField(field []byte, v any) bool { return s.Unknown.add(field, v) }

// CodecMissingFields gives the kept fields back (codec.MissingFielder).
func (s *Spec) CodecMissingFields() map[string]any { return s.Unknown }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
