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

// Encode implements ledger.Record: canonical bytes.
func (r *Record) Encode() []byte {
	if len(r.Unknown) > 0 {
		return canon.EncodeNewer(r)
	}
	return canon.Encode(r)
}

// Decode reads and validates a record of a peer or a disk (rules L10, L11).
func Decode(b []byte) (*Record, error) {
	r, err := decode(b, maxRecord)
	if err != nil {
		return nil, err
	}
	if len(r.Created) == 0 {
		return nil, fmt.Errorf("emergency %.64q: it has no creation", r.ID)
	}
	return r, nil
}

// DecodeHint is Decode for what another broker has told beside the ledger (rule S3): its
// own record, or what it has heard.
func DecodeHint(b []byte) (*Record, error) {
	r, err := decode(b, MaxHint)
	if err != nil {
		return nil, err
	}
	return r.Hint(), nil // what a record rests on comes with the ledger alone
}

func decode(b []byte, most int) (*Record, error) {
	if len(b) > most {
		return nil, fmt.Errorf("emergency: %d bytes, at most %d are allowed", len(b), most)
	}
	r := new(Record)
	if err := canon.Decode(b, r); err != nil {
		return nil, fmt.Errorf("emergency: %w", err)
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("emergency %.64q: %w", r.ID, err)
	}
	return r, nil
}

// CodecMissingField keeps a field of a newer broker (codec.MissingFielder).
func (r *Record) CodecMissingField(field []byte, v any) bool { return r.Unknown.Add(field, v) }

// CodecMissingFields gives the kept fields back (codec.MissingFielder).
func (r *Record) CodecMissingFields() map[string]any { return r.Unknown }

// validate checks all that other methods, and the broker, take for granted.
func (r *Record) validate() error {
	if err := r.ID.Valid(); err != nil {
		return err
	}
	known := r.Version.Seq > 0
	switch {
	case !known && (r.Declared != 0 || r.TTL != 0 || r.Version != Version{} || !r.Terms.empty() || len(r.Cleared) == 0):
		return errors.New("nobody has declared it, so that its clear is all that it can hold")
	case known && (r.Declared == 0 || r.TTL <= 0 || time.Duration(r.TTL) > MaxTTL):
		return fmt.Errorf("it was declared at %v for %v", r.Declared, time.Duration(r.TTL))
	case len(r.Cleared) > 1 || len(r.Created) > maxCreated || !canon.Ascending(r.Created, clock.Dot.Compare):
		return fmt.Errorf("it has %d clears and %d creations", len(r.Cleared), len(r.Created))
	case r.Version.Seq > maxSeq:
		return fmt.Errorf("it has changed %d times", r.Version.Seq)
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

// maxSeq is far from where a number that somebody made up would stop others from
// changing the terms.
const maxSeq = 1 << 32

// maxActor is a broker's name, a tilde and eight characters, and some more.
const maxActor = 80

var errNoWriter = errors.New("its writer has no valid name")

// validWriter reports whether by may be an actor, or "": events carry it, and it must neither
// grow in their JSON nor change.
func validWriter(by clock.Actor) bool {
	name, suffix, _ := strings.Cut(string(by), "~")
	return by == "" || len(by) <= maxActor && label.ValidName(name) && (suffix == "" || label.ValidName(suffix))
}

// Valid says what is wrong with an ID; nil when nothing is.
func (id ID) Valid() error { return validName("id", string(id), 64) }

// validName checks what a job can name in its priority: there a level's name is a level.
func validName(field, name string, most int) error {
	switch {
	case !label.ValidName(name) || len(name) > most:
		return fmt.Errorf("%s %.80q: use letters, digits and . _ -, at most %d, the first a letter or digit", field, name, most)
	case job.Level(name) >= 0:
		return fmt.Errorf("%s %q is the name of a level: jobs could not tell the two apart", field, name)
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
		return fmt.Errorf("level %d: it is low, medium, high or critical", t.Level)
	case len(t.Message) > maxMessage:
		return fmt.Errorf("message: %d bytes, at most %d are allowed", len(t.Message), maxMessage)
	}
	if err := validSelector("scope", t.Scope); err != nil {
		return err
	}
	return validSelector("select", t.Select)
}

func validSelector(field string, conditions []string) error {
	if len(conditions) > maxSelector {
		return fmt.Errorf("%s: %d conditions, at most %d are allowed", field, len(conditions), maxSelector)
	}
	for _, text := range conditions {
		if _, err := label.ParseSelector(text); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	return nil
}
