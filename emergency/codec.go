package emergency

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// Encode implements ledger.Record: it returns the canonical encoding.
func (r *Record) Encode() []byte {
	if len(r.Unknown) > 0 {
		return canon.EncodeNewer(r)
	}
	return canon.Encode(r)
}

// Decode decodes and validates a record from a peer (rules L10, L11). b has at most [MaxRecord] bytes.
func Decode(b []byte) (*Record, error) { return decodeRecord(b, MaxRecord) }

// DecodeStored decodes and validates a record that this broker has stored, however large.
func DecodeStored(b []byte) (*Record, error) { return decodeRecord(b, len(b)) }

func decodeRecord(b []byte, most int) (*Record, error) {
	r, err := decode(b, most)
	if err != nil {
		return nil, err
	}
	if len(r.Created) == 0 {
		return nil, fmt.Errorf("emergency %.64q: it has no creation dot", r.ID)
	}
	return r, nil
}

// DecodeHint decodes and validates a hint that another broker sent outside of the ledger (rule S3): a record
// that it holds, or a hint that it has received. b has at most [MaxHint] bytes.
func DecodeHint(b []byte) (*Record, error) {
	r, err := decode(b, MaxHint)
	if err != nil {
		return nil, err
	}
	return r.Hint(), nil // creations and dots are accepted from the ledger only
}

func decode(b []byte, most int) (*Record, error) {
	if len(b) > most {
		return nil, fmt.Errorf("emergency: it has %d bytes, at most %d are allowed", len(b), most)
	}
	r := new(Record)
	if err := canon.Decode(b, r); err != nil {
		return nil, fmt.Errorf("emergency: %w", err)
	}
	r.Unknown = r.Unknown.Bounded()
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("emergency %.64q: %w", r.ID, err)
	}
	return r, nil
}

// CodecMissingField implements codec.MissingFielder: it keeps a field of a newer broker.
func (r *Record) CodecMissingField(field []byte, v any) bool { return r.Unknown.Add(field, v) }

// CodecMissingFields implements codec.MissingFielder: it returns the kept fields.
func (r *Record) CodecMissingFields() map[string]any { return r.Unknown }

// validate checks everything on which the other methods and the broker rely.
func (r *Record) validate() error {
	if err := r.ID.Valid(); err != nil {
		return err
	}
	known := r.Version.Seq > 0
	switch {
	case !known && (r.Declared != 0 || r.TTL != 0 || r.Version != Version{} || !r.Terms.empty() || len(r.Cleared) == 0):
		return errors.New("it was never declared, so it must hold a clear and nothing else")
	case known && (r.Declared == 0 || r.TTL <= 0 || time.Duration(r.TTL) > MaxTTL):
		return fmt.Errorf("it was declared at %v for %v", r.Declared, time.Duration(r.TTL))
	case len(r.Cleared) > 1 || len(r.Created) > maxCreated || !canon.Ascending(r.Created, clock.Dot.Compare):
		return fmt.Errorf("it has %d clears and %d creations", len(r.Cleared), len(r.Created))
	case r.Version.Seq > maxSeq:
		return fmt.Errorf("its version %d is above the limit of %d", r.Version.Seq, uint64(maxSeq))
	case r.Life > maxLife:
		return fmt.Errorf("its life %d is above the limit of %d", r.Life, uint64(maxLife))
	case !validWriter(r.Version.By) || len(r.Cleared) > 0 && !validWriter(r.Cleared[0].By):
		return errNoWriter
	}
	if err := r.Dots.Valid(); err != nil {
		return err
	}
	for _, d := range r.Created {
		if d.IsZero() || !r.Dots.Has(d) {
			return fmt.Errorf("its creation %v is not among its dots", d)
		}
	}
	if !known {
		return nil
	}
	return r.Terms.validate()
}

// maxSeq is the largest Version.Seq. It leaves room in an uint64, so that an invented number cannot prevent
// further changes of the terms.
const maxSeq = 1 << 32

// maxLife is the largest Record.Life: of those that have it none begins another one, and all of one ID are joined.
const maxLife = 1 << 32

// maxActor is the longest actor in bytes: a broker's name, a tilde and eight characters, and some reserve.
const maxActor = 80

var errNoWriter = errors.New("its writer has no valid name")

// validWriter reports whether by is an actor or "". Events carry it, so it must consist of characters that
// JSON does not escape.
func validWriter(by clock.Actor) bool {
	name, suffix, _ := strings.Cut(string(by), "~")
	return by == "" || len(by) <= maxActor && label.ValidName(name) && (suffix == "" || label.ValidName(suffix))
}

// Valid returns an error that says what is wrong with an ID, or nil.
func (id ID) Valid() error { return validName("id", string(id), 64) }

// validName checks a name that a job can use in its priority, where the name of a level means that level.
func validName(field, name string, most int) error {
	switch {
	case !label.ValidName(name) || len(name) > most:
		return fmt.Errorf("%s %.80q: use at most %d letters, digits and . _ -, beginning with a letter or digit", field, name, most)
	case job.Level(name) >= 0:
		return fmt.Errorf("%s %q is the name of a level: a job that names it would get that level instead", field, name)
	}
	return nil
}

func (t *Terms) empty() bool {
	return t.Type == "" && t.Level == 0 && t.Message == "" && len(t.Scope)+len(t.Select) == 0
}

func (t *Terms) validate() error {
	if err := validName("type", t.Type, maxType); err != nil {
		return err
	}
	switch {
	case t.Level < 1 || t.Level > 4:
		return fmt.Errorf("unknown level %d: want 1 (low) to 4 (critical)", t.Level)
	case len(t.Message) > maxMessage:
		return fmt.Errorf("message: it has %d bytes, at most %d are allowed", len(t.Message), maxMessage)
	}
	if err := validSelector("scope", t.Scope); err != nil {
		return err
	}
	return validSelector("select", t.Select)
}

func validSelector(field string, conditions []string) error {
	if len(conditions) > maxConditions {
		return fmt.Errorf("%s: %d conditions, at most %d are allowed", field, len(conditions), maxConditions)
	}
	for _, text := range conditions {
		if _, err := label.ParseSelector(text); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	return nil
}
