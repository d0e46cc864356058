package job

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// encode returns the canonical encoding of a value of this package (package canon).
func encode(v any) []byte {
	if out, ok := encodeFast(v); ok {
		return out
	}
	if u, ok := v.(interface{ newer() bool }); ok && u.newer() {
		return canon.EncodeNewer(v)
	}
	return canon.Encode(v)
}

// newer reports whether the record or its spec has fields that this version does not know.
func (r *Record) newer() bool { return len(r.Unknown) > 0 || r.Spec.newer() }

func (s *Spec) newer() bool { return len(s.Unknown) > 0 }

// Encode implements ledger.Record: it returns the record's canonical encoding. Equal records have equal
// encodings.
func (r *Record) Encode() []byte { return encode(r) }

// Size returns the length of the result's encoding, in bytes.
func (r *Result) Size() int { return len(encode(r)) }

// DecodeRecord decodes and validates a record from a peer
// (rules L10, L11). All other methods rely on the validation.
func DecodeRecord(b []byte) (*Record, error) {
	if len(b) > MaxRecord {
		return nil, fmt.Errorf("job record: it has %d bytes, at most %d are allowed", len(b), MaxRecord)
	}
	return DecodeStored(b)
}

// DecodeStored decodes and validates a record that this broker has stored, however large.
func DecodeStored(b []byte) (*Record, error) {
	r, spec, ok := decodeFast(b)
	if !ok {
		r = new(Record)
		if err := canon.Decode(b, r); err != nil {
			return nil, fmt.Errorf("job record: %w", err)
		}
		spec = encode(&r.Spec)
		r.Unknown = r.Unknown.Bounded()
	}
	if err := r.validate(len(spec)); err != nil {
		return nil, fmt.Errorf("job record %.64q: %w", r.ID, err)
	}
	if r.IsStub() {
		if !bytes.Equal(r.stub(r.Stub).Encode(), r.Encode()) {
			return nil, fmt.Errorf("job record %.64q: it holds more than a stub", r.ID)
		}
		r.key = string(r.ID) + "~" + string(r.Stub)
	} else {
		r.key = Key(r.ID, digestOf(spec))
	}
	return r, nil
}

// validate checks everything on which the other methods and the broker rely. spec is the length of the
// encoded spec.
func (r *Record) validate(spec int) error {
	switch {
	case !label.ValidName(string(r.ID)):
		return errors.New("it has no valid ID")
	case len(r.Created) == 0 || len(r.Created) > MaxCreated:
		return fmt.Errorf("it has %d creations", len(r.Created))
	case len(r.Verdicts) > maxVerdicts+1 || len(r.Reports) > maxReports:
		return fmt.Errorf("it has %d verdicts and %d reports", len(r.Verdicts), len(r.Reports))
	case !canon.Ascending(r.Created, Stamp.compare) || !canon.Ascending(r.Verdicts, Verdict.compare):
		return errors.New("its creations or verdicts are out of order")
	case len(r.Pauses) > maxPauses || !canon.Ascending(r.Pauses, Pause.compare) || slices.ContainsFunc(r.Pauses, Pause.invalid):
		return fmt.Errorf("its %d pauses are inconsistent or out of order", len(r.Pauses))
	case len(r.Returns) > MaxReturns || !canon.Ascending(r.Returns, Return.compare) || slices.ContainsFunc(r.Returns, func(x Return) bool { return !x.valid() }):
		return fmt.Errorf("its %d returned attempts are inconsistent or out of order", len(r.Returns))
	case !r.Loading.valid():
		return errors.New("what it says of a module that is loaded is inconsistent")
	case r.IsStub():
		if err := r.validateStub(); err != nil {
			return err
		}
	case r.Owner.Broker == "" || r.Owner.Actor.Broker() != r.Owner.Broker:
		return fmt.Errorf("it has no owner, or its actor %.80q belongs to another", r.Owner.Actor)
	case r.Place.Try < 0 || !r.Place.IsZero() && (r.Place.Broker == "" || r.Place.Actor.Broker() != r.Place.Broker):
		return fmt.Errorf("its placement names no executor, its actor %.80q belongs to another, or its try is negative", r.Place.Actor)
	case r.Owner.Tenure.Epoch > clock.MaxCounter || r.Losses > clock.MaxCounter || !r.Place.Attempt.valid():
		return errors.New("its epoch, its losses, or the sequence of its placements is higher than anybody counts")
	case r.Spec.MinReplicas != 0:
		return errors.New("its spec has min_replicas, which is not part of a job")
	}
	if err := r.Dots.Valid(); err != nil {
		return err
	}
	for _, s := range r.Created {
		if len(s.Deps) > maxDeps {
			return fmt.Errorf("its creation %v has %d dependencies, at most %d are allowed", s.Dot, len(s.Deps), maxDeps)
		}
		if s.Dot.IsZero() || !r.Dots.Has(s.Dot) {
			return fmt.Errorf("its creation %v is not among its dots", s.Dot)
		}
		if slices.ContainsFunc(s.Deps, func(d Dependency) bool { return d.Dot.Counter > clock.MaxCounter }) {
			return fmt.Errorf("its creation %v depends on what nobody counts", s.Dot)
		}
	}
	for i, rep := range r.Reports {
		if !rep.valid() || !r.Dots.Has(rep.Dot) || i > 0 && r.Reports[i-1].Dot.Actor >= rep.Dot.Actor {
			return fmt.Errorf("the report of %.80q is inconsistent or out of order", rep.Dot.Actor)
		}
	}
	if k := r.Kept; k != nil && (k.Phase != Done || !k.valid() || !r.Dots.Has(k.Dot)) {
		return fmt.Errorf("what the attempt of %.80q left that was stopped to run again is inconsistent", k.Dot.Actor)
	}
	if c := r.Checkpoint; c != nil && (!c.valid() || !r.Dots.Has(c.Dot)) {
		return fmt.Errorf("the checkpoint of %.80q is inconsistent", c.Dot.Actor)
	}
	for _, v := range r.Verdicts {
		if !v.valid() || !r.Dots.Has(v.Dot) {
			return fmt.Errorf("the verdict of %.80q is inconsistent", v.Dot.Actor)
		}
	}
	if !r.Seal.valid(r) {
		return errors.New("its seal is inconsistent with its verdicts")
	}
	if err := r.checkEndings(); err != nil {
		return err
	}
	if r.IsStub() {
		return nil
	}
	return r.Spec.validate(spec)
}

// checkEndings refuses what is inconsistent in the endings, those of jobs, or data, that the spec does not name, and reads that it does not want. So what it notes is
// bounded by its spec, also when two copies are merged (see MaxRecord).
func (r *Record) checkEndings() error {
	if len(r.Ended) == 0 {
		return nil
	}
	if r.IsStub() {
		return errors.New("it is a stub, and says how other jobs have ended")
	}
	names, sources := r.Spec.Data(), r.Spec.Sources()
	for i, e := range r.Ended {
		if i >= maxAfter || !e.Outcome.valid() || e.By == "" || e.Sealed > clock.MaxCounter || !e.readsValid() || !e.Job.isRead() && !e.Job.IsArray() || i > 0 && r.Ended[i-1].Job >= e.Job {
			return fmt.Errorf("the ending of %.80q is inconsistent or out of order", e.Job)
		}
		if name, isData := e.Job.Data(); isData {
			if !slices.Contains(names, name) {
				return fmt.Errorf("it notes data %.80q, which its spec does not name", name)
			}
			continue
		}
		if !slices.Contains(r.Spec.After, e.Job) {
			return fmt.Errorf("it notes the end of %.80q, after which it does not run", e.Job)
		}
		for part := range e.Read {
			if !slices.Contains(sources, Source{e.Job, part}) {
				return fmt.Errorf("it notes %.80q of %s, which it does not read", part, e.Job)
			}
		}
	}
	return nil
}

func (p Pause) invalid() bool {
	return p.By == "" || p.From <= 0 || p.To < 0 || !label.ValidName(string(p.For)) || p.Emergency != "" && !label.ValidName(p.Emergency) ||
		p.Mode != Suspend && p.Mode != Requeue
}

// valid refuses numbers that leave no room above them (rule X1).
func (a Attempt) valid() bool { return a.Tenure.Epoch <= clock.MaxCounter && a.Seq <= clock.MaxCounter }

func (r *Report) valid() bool {
	if !r.Attempt.valid() || r.Dot.Counter > clock.MaxCounter {
		return false
	}
	switch r.Phase {
	case Queued, Running, Suspended, Stopped:
		return !r.Dot.IsZero() && r.Result == nil
	case Done:
		return !r.Dot.IsZero() && r.Result != nil && r.Result.Outcome.valid() && r.Result.readsValid() && r.Result.Size() <= MaxResult
	}
	return false
}

func (v *Verdict) valid() bool {
	return !v.Dot.IsZero() && v.Outcome.valid() && len(v.Reason) <= MaxReason &&
		(v.Report == nil || v.Report.Phase == Done && v.Report.valid())
}

func (o Outcome) valid() bool { return State(o).Final() }

// CodecMissingField implements codec.MissingFielder: it keeps a field of a newer broker.
func (r *Record) CodecMissingField(field []byte, v any) bool { return r.Unknown.Add(field, v) }

// CodecMissingFields implements codec.MissingFielder: it returns the kept fields.
func (r *Record) CodecMissingFields() map[string]any { return r.Unknown }

// CodecMissingField implements codec.MissingFielder: it keeps a field of a newer broker.
func (s *Spec) CodecMissingField(field []byte, v any) bool { return s.Unknown.Add(field, v) }

// CodecMissingFields implements codec.MissingFielder: it returns the kept fields.
func (s *Spec) CodecMissingFields() map[string]any { return s.Unknown }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
