package emergency

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/strictjson"
)

// EventName is the name of the Serf user event that announces an emergency (rule E4).
const EventName = "ucp:emergency"

// maxEvent is the longest payload of an event, in bytes.
const maxEvent = 400

// Selector is a list of conditions that can be written in JSON as ["district=7"], as "district=7" if there is
// only one, or as {"district": "7"}.
type Selector []string

// UnmarshalJSON implements json.Unmarshaler. What is given and empty is not nil; null is as if it were not given.
func (s *Selector) UnmarshalJSON(b []byte) error {
	var one *string
	if json.Unmarshal(b, &one) == nil {
		if *s = nil; one == nil {
			return nil
		}
		*s = Selector{}
		if text := strings.TrimSpace(*one); text != "" {
			*s = Selector{text}
		}
		return nil
	}
	var list []string
	if json.Unmarshal(b, &list) == nil {
		*s = list
		return nil
	}
	var pairs map[string]string
	if err := json.Unmarshal(b, &pairs); err != nil {
		return errors.New(`conditions are a list such as ["district=7"]`)
	}
	*s = Selector{}
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		*s = append(*s, k+"="+pairs[k])
	}
	return nil
}

// Declaration is a request to declare or to clear an emergency, as JSON over HTTP and in Serf's events. The
// last five fields are set in a broker's events only. Of one whose ID is known, what is not given stays as it is (see
// [Declaration.Over]); nil is not given, and what is given and empty drops what there was.
type Declaration struct {
	ID      ID             `json:"id,omitempty"`     // made up if it is empty
	Type    string         `json:"type,omitempty"`   // required; see Terms
	Level   job.LevelText  `json:"level,omitempty"`  // required: low, medium, high or critical, in JSON also 1 to 4
	Scope   Selector       `json:"scope,omitzero"`   // see Terms
	Select  Selector       `json:"select,omitzero"`  // see Terms
	TTL     clock.Duration `json:"ttl,omitzero"`     // 24 hours if it is zero, at most MaxTTL
	Message *string        `json:"message,omitzero"` // for people
	Clear   ID             `json:"clear,omitempty"`  // the emergency to clear; all fields before must be empty then

	Declared clock.Hybrid `json:"declared,omitempty"` // see Record
	Seq      uint64       `json:"seq,omitempty"`      // see Version
	At       clock.Hybrid `json:"at,omitempty"`       // of the version, or of the clear
	By       clock.Actor  `json:"by,omitempty"`       // of the version, or of the clear
	Life     uint64       `json:"life,omitempty"`     // see Record
}

// ParseDeclaration parses and validates a person's declaration in JSON. Unknown fields are errors. Every
// error names the field.
func ParseDeclaration(b []byte) (Declaration, error) {
	var d Declaration
	if err := strictjson.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("it is not a declaration such as {\"type\":\"flood\",\"level\":\"critical\"}: %w", err)
	}
	if d.Declared != 0 || d.Seq != 0 || d.At != 0 || d.By != "" || d.Life != 0 {
		return d, errors.New("declared, seq, at, by and life must not be given: they are set by the broker")
	}
	if d.Clear != "" {
		return d, d.checkClear()
	}
	whole := d
	if d.ID != "" { // a change of one that is known: what it lacks is there, and the broker sees that
		whole.Type, whole.Level = cmp.Or(d.Type, "x"), cmp.Or(d.Level, "low")
	}
	_, err := whole.Declare(1, strings.Repeat("x", hashLength))
	return d, err
}

// checkClear validates a declaration that clears.
func (d *Declaration) checkClear() error {
	if d.ID != "" || d.Type != "" || d.Level != "" || len(d.Scope)+len(d.Select) > 0 || d.TTL != 0 || d.Message != nil {
		return errors.New("\"clear\" must be the only field: an emergency cannot be cleared and declared at once")
	}
	return d.Clear.Valid()
}

// Over returns the declaration with what it does not give as it was declared before: a change of one term changes that one
// alone. The time is its caller's (rule E3).
func (d Declaration) Over(old *Record) Declaration {
	if old.Version.Seq == 0 {
		return d // nothing but its clear is known
	}
	d.Type = cmp.Or(d.Type, old.Terms.Type)
	d.Level = cmp.Or(d.Level, job.LevelText(job.LevelName(old.Terms.Level)))
	if d.Scope == nil {
		d.Scope = old.Terms.Scope
	}
	if d.Select == nil {
		d.Select = old.Terms.Select
	}
	if d.Message == nil {
		d.Message = &old.Terms.Message
	}
	return d
}

// record returns the record of a declaration, with defaults filled in. It is declared now, unless the
// declaration has a time. The record is a hint until a broker writes it to its ledger.
func (d *Declaration) record(now clock.Hybrid) (*Record, error) {
	r := &Record{ID: d.ID, TTL: d.TTL, Declared: d.Declared, Version: Version{Seq: max(d.Seq, 1), At: d.At, By: d.By}, Life: d.Life}
	r.Terms = Terms{Type: d.Type, Level: job.Level(string(d.Level)), Scope: given(d.Scope), Select: given(d.Select)}
	if d.Message != nil {
		r.Terms.Message = *d.Message
	}
	if r.ID == "" {
		r.ID = "unnamed" // a valid placeholder; the caller sets the real ID
	}
	if r.TTL == 0 {
		r.TTL = clock.Duration(DefaultTTL)
	}
	if r.Declared == 0 {
		r.Declared = now
	}
	switch {
	case d.Type == "":
		return nil, errors.New("type: it is missing; name the kind of emergency, such as flood")
	case r.Terms.Level < 1:
		return nil, fmt.Errorf("unknown level %q: %s", d.Level, LevelHint(string(d.Level)))
	case r.TTL < 0 || time.Duration(r.TTL) > MaxTTL:
		return nil, fmt.Errorf("ttl %v: it must be positive, and at most %v", time.Duration(r.TTL), MaxTTL)
	}
	return r, r.validate()
}

// given is a list, nil if it is empty: so terms have it.
func given(s Selector) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}

// LevelHint says what may have been meant by a level that is none.
func LevelHint(level string) string {
	if near := cmp.Or(label.Slip(level, job.Levels()[1:]), label.Begun(level, job.Levels())); near != "" {
		return "did you mean " + near + "?"
	}
	return "want low (1), medium (2), high (3) or critical (4)"
}

// Declare returns the record of a person's declaration, as a hint that was declared now. If the declaration
// has no ID, the ID is the type, a dash and suffix, which the caller draws at random (at most ten
// characters). It fails when the declaration is invalid or too long for an event, and when its ID or type is the number
// of a level: who names that means the level. (Records that are so named exist, of earlier versions.)
func (d *Declaration) Declare(now clock.Hybrid, suffix string) (*Record, error) {
	for field, name := range map[string]string{"id": string(d.ID), "type": d.Type} {
		if level := job.LevelOf(name); level != name {
			return nil, fmt.Errorf("%s %q is the number of the level %s: a job that names it would get that level instead", field, name, level)
		}
	}
	r, err := d.record(now)
	if err != nil {
		return nil, err
	}
	if d.ID == "" {
		r.ID = ID(d.Type + "-" + suffix)
	}
	wide := *r // with the longest version that a broker may add, and the longest time that a later one may give it
	wide.TTL = clock.Duration(MaxTTL - time.Nanosecond)
	wide.Life = maxLife
	wide.Version = Version{Seq: maxSeq, At: math.MaxUint64, By: clock.Actor(strings.Repeat("x", 73))}
	if _, err := wide.Event(); err != nil {
		return nil, err
	}
	return r, nil
}

// Parse parses and validates the payload of an event with [EventName], from a broker or from a stock Serf
// command line: {"type":"flood","level":"critical"} or {"clear":"ID"}. It returns a hint. If the event has no
// time, it is declared now. If it has no ID, the ID is derived from the event's type, Lamport time, name and
// payload, so that all brokers that receive the event use the same one (rule E2).
func Parse(payload []byte, ltime uint64, now clock.Hybrid) (*Record, error) {
	if len(payload) > maxEvent {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(payload), maxEvent)
	}
	var d Declaration
	err := strictjson.CheckText(payload)
	if err == nil {
		err = json.Unmarshal(payload, &d) // unknown fields of a newer broker are ignored
	}
	if err != nil {
		return nil, fmt.Errorf("it is not JSON such as {\"type\":\"flood\",\"level\":\"critical\"} or {\"clear\":\"ID\"}: %w", err)
	}
	if d.Clear != "" {
		if err := d.checkClear(); err != nil {
			return nil, err
		}
		at := d.At
		if at == 0 {
			at = now
		}
		r := &Record{ID: d.Clear, Cleared: []Mark{{at, d.By}}, Life: d.Life}
		return r, r.validate()
	}
	r, err := d.record(now)
	if err != nil {
		return nil, err
	}
	if d.ID == "" {
		r.ID = ID(d.Type + "-" + hashID(payload, ltime))
	}
	return r, nil
}

// hashID returns ten characters that depend only on the event (rule E2).
func hashID(payload []byte, ltime uint64) string {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, ltime))
	h.Write([]byte(EventName))
	h.Write([]byte{0})
	h.Write(payload)
	return hex.EncodeToString(h.Sum(nil))[:hashLength]
}

const hashLength = 10 // characters

// Event returns the payload of the event that announces this record: its clear, or its terms with as much of
// the message as fits. It fails when scope and selection are too long, because an event without them would
// concern too many brokers and jobs.
func (r *Record) Event() ([]byte, error) {
	if len(r.Cleared) > 0 {
		return json.Marshal(Declaration{Clear: r.ID, At: r.Cleared[0].At, By: r.Cleared[0].By, Life: r.Life})
	}
	d := Declaration{
		ID: r.ID, Type: r.Terms.Type, Level: job.LevelText(job.LevelName(r.Terms.Level)), Scope: given(r.Terms.Scope), Select: given(r.Terms.Select),
		TTL: r.TTL, Declared: r.Declared, Seq: r.Version.Seq, At: r.Version.At, By: r.Version.By, Life: r.Life,
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err) // cannot happen: strings and numbers can be encoded
	}
	if len(b) > maxEvent {
		return nil, fmt.Errorf("its ID, scope and selection make an event of up to %d bytes, but an event may have only %d: use fewer or shorter conditions", len(b), maxEvent)
	}
	for text := r.Terms.Message; text != ""; text = shorter(text) {
		d.Message = &text
		if m, err := json.Marshal(d); err == nil && len(m) <= maxEvent {
			return m, nil
		}
	}
	return b, nil
}

// shorter removes an eighth of a text from its end, at least one character.
func shorter(text string) string {
	cut := len(text) - max(len(text)/8, 1)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
