package job

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// handle is the canonical encoding: msgpack maps with sorted string keys, so
// that equal values have equal bytes on every machine. Maps in fields that this
// version does not know have string keys too: only they have one order, whatever
// type a newer broker encodes them from.
var handle = newHandle(maxDepth)

// maxDepth bounds how deep the fields of a newer broker may nest, as the codec
// does anyway; a value that was read within it can be sorted within twice that.
const maxDepth = 1024

var sorting = newHandle(2 * maxDepth)

func newHandle(depth int16) *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.Canonical = true
	h.WriteExt = true
	h.RawToString = true
	h.MapType = reflect.TypeFor[map[string]any]()
	h.MaxDepth = depth
	return h
}

// encode returns the canonical bytes of a value of this package. Fields that this
// version does not know are sorted in among the others, where a broker that knows
// them has them: digests, and so the keys of jobs, must be equal on both (rules
// L2, J3). The codec appends them in the random order of a Go map.
func encode(v any) []byte {
	if out, ok := encodeFast(v); ok {
		return out
	}
	out := encodeOnce(v)
	if u, ok := v.(interface{ newer() bool }); !ok || !u.newer() {
		return out
	}
	var sorted map[string]any
	if err := codec.NewDecoderBytes(out, sorting).Decode(&sorted); err != nil {
		panic("job: sorting " + err.Error()) // it was encoded a line above
	}
	return encodeOnce(sorted)
}

// encodeOnce encodes a value that holds nothing that msgpack can't express, so
// it can't fail.
func encodeOnce(v any) []byte {
	var out []byte
	if err := codec.NewEncoderBytes(&out, handle).Encode(v); err != nil {
		panic("job: encoding " + err.Error())
	}
	return out
}

// newer reports whether a newer broker has written fields that we don't know.
func (r *Record) newer() bool { return len(r.Unknown) > 0 || r.Spec.newer() }

func (s *Spec) newer() bool { return len(s.Unknown) > 0 }

// Encode returns the record's canonical bytes: equal records, equal bytes.
func (r *Record) Encode() []byte { return encode(r) }

// Size is the length of the result's encoding, in bytes.
func (r *Result) Size() int { return len(encode(r)) }

// DecodeRecord reads a record that came from a disk or a peer and validates it
// (rules L10, L11), so that all other methods may take it for granted.
func DecodeRecord(b []byte) (*Record, error) {
	if len(b) > MaxRecord {
		return nil, fmt.Errorf("job record: %d bytes, at most %d are allowed", len(b), MaxRecord)
	}
	r, spec, ok := decodeFast(b)
	if !ok {
		r = new(Record)
		if err := codec.NewDecoderBytes(b, handle).Decode(r); err != nil {
			return nil, fmt.Errorf("job record: %w", err)
		}
		spec = encode(&r.Spec)
	}
	if err := r.validate(len(spec)); err != nil {
		return nil, fmt.Errorf("job record %.64q: %w", r.ID, err)
	}
	r.key = Key(r.ID, digestOf(spec))
	return r, nil
}

// validate checks all that other methods, and the broker, take for granted. Spec is how
// many bytes that of the record takes.
func (r *Record) validate(spec int) error {
	switch {
	case !ValidName(string(r.ID)):
		return errors.New("it has no valid ID")
	case len(r.Created) == 0 || len(r.Created) > MaxCreated:
		return fmt.Errorf("it has %d creations", len(r.Created))
	case len(r.Verdicts) > MaxVerdicts || len(r.Reports) > MaxReports:
		return fmt.Errorf("it has %d verdicts and %d reports", len(r.Verdicts), len(r.Reports))
	case !ascending(r.Created, Stamp.compare) || !ascending(r.Verdicts, Verdict.compare):
		return errors.New("its creations or verdicts are out of order")
	case r.Owner.Broker == "" || r.Owner.Actor == "":
		return errors.New("nobody owns it")
	case r.Place.Try < 0 || !r.Place.IsZero() && (r.Place.Broker == "" || r.Place.Actor == ""):
		return errors.New("its placement names no executor, or a negative try")
	case r.Spec.MinReplicas != 0:
		return errors.New("its spec has min_replicas, which is no part of a job")
	}
	if err := r.Dots.Valid(); err != nil {
		return err
	}
	for _, s := range r.Created {
		if len(s.Deps) > MaxDeps {
			return fmt.Errorf("its creation %v has %d dependencies, at most %d are allowed", s.Dot, len(s.Deps), MaxDeps)
		}
		if s.Dot.IsZero() || !r.Dots.Has(s.Dot) {
			return fmt.Errorf("its creation %v is not among its dots", s.Dot)
		}
	}
	for i, e := range r.Ended {
		if i >= MaxAfter || !e.Outcome.valid() || e.By == "" || !ValidName(string(e.Job)) || i > 0 && r.Ended[i-1].Job >= e.Job {
			return fmt.Errorf("the ending of %.80q is inconsistent or out of order", e.Job)
		}
	}
	for i, rep := range r.Reports {
		if !rep.valid() || !r.Dots.Has(rep.Dot) || i > 0 && r.Reports[i-1].Dot.Actor >= rep.Dot.Actor {
			return fmt.Errorf("the report of %.80q is inconsistent or out of order", rep.Dot.Actor)
		}
	}
	for _, v := range r.Verdicts {
		if !v.valid() || !r.Dots.Has(v.Dot) {
			return fmt.Errorf("the verdict of %.80q is inconsistent", v.Dot.Actor)
		}
	}
	return r.Spec.validate(spec)
}

// ascending reports whether the list is sorted, and nothing stands in it twice.
func ascending[T any](list []T, compare func(T, T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

func (r *Report) valid() bool {
	switch r.Phase {
	case Queued, Running, Suspended, Stopped:
		return !r.Dot.IsZero() && r.Result == nil
	case Done:
		return !r.Dot.IsZero() && r.Result != nil && r.Result.Outcome.valid() && r.Result.Size() <= MaxResult
	}
	return false
}

func (v *Verdict) valid() bool {
	return !v.Dot.IsZero() && v.Outcome.valid() && len(v.Reason) <= MaxReason &&
		(v.Report == nil || v.Report.Phase == Done && v.Report.valid())
}

func (o Outcome) valid() bool { return State(o).Final() }

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
