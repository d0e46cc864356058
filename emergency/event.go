package emergency

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// The Serf user event that tells of an emergency (rule E4).
const (
	EventName = "ucp:emergency"
	maxEvent  = 400 // bytes of its payload
)

// Selector is a list of conditions as people write them in JSON: ["district=7"], or
// "district=7" for one, or {"district": "7"}.
type Selector []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *Selector) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*s = nil
		if one = strings.TrimSpace(one); one != "" {
			*s = Selector{one}
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
	*s = nil
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		*s = append(*s, k+"="+pairs[k])
	}
	return nil
}

// Declaration is what somebody asks for, as JSON over HTTP and in Serf's events. From a
// person the last four fields are empty: they are what a broker adds to its event.
type Declaration struct {
	ID      ID             `json:"id,omitempty"`
	Type    string         `json:"type,omitempty"`
	Level   string         `json:"level,omitempty"`
	Scope   Selector       `json:"scope,omitempty"`
	Select  Selector       `json:"select,omitempty"`
	TTL     clock.Duration `json:"ttl,omitzero"`
	Message string         `json:"message,omitempty"`
	Clear   ID             `json:"clear,omitempty"` // clears that one; nothing else is said then

	Declared clock.Hybrid `json:"declared,omitempty"`
	Seq      uint64       `json:"seq,omitempty"`
	At       clock.Hybrid `json:"at,omitempty"`
	By       clock.Actor  `json:"by,omitempty"`
}

// ParseDeclaration reads a declaration of a person. Every error names the field.
func ParseDeclaration(b []byte) (Declaration, error) {
	var d Declaration
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return d, fmt.Errorf("it is not a declaration such as {\"type\":\"flood\",\"level\":\"critical\"}: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return d, errors.New("something follows the JSON object")
	}
	if d.Declared != 0 || d.Seq != 0 || d.At != 0 || d.By != "" {
		return d, errors.New("declared, seq, at and by are the broker's to say")
	}
	if d.Clear != "" {
		return d, d.checkClear()
	}
	_, err := d.Declare(1, strings.Repeat("x", hashLength))
	return d, err
}

// checkClear says what is wrong with one that clears.
func (d *Declaration) checkClear() error {
	if d.ID != "" || d.Type != "" || d.Level != "" || len(d.Scope)+len(d.Select) > 0 || d.TTL != 0 || d.Message != "" {
		return errors.New("\"clear\" stands alone: what is cleared can't be declared as well")
	}
	return d.Clear.Valid()
}

// record makes the record of a declaration, with its defaults, declared now unless it
// says when; it is a hint until somebody writes it.
func (d *Declaration) record(now clock.Hybrid) (*Record, error) {
	r := &Record{ID: d.ID, TTL: d.TTL, Declared: d.Declared, Version: Version{Seq: max(d.Seq, 1), At: d.At, By: d.By}}
	r.Terms = Terms{Type: d.Type, Level: job.Level(d.Level), Scope: d.Scope, Select: d.Select, Message: d.Message}
	if r.ID == "" {
		r.ID = "unnamed" // for validate; the caller gives the real one
	}
	if r.TTL == 0 {
		r.TTL = clock.Duration(DefaultTTL)
	}
	if r.Declared == 0 {
		r.Declared = now
	}
	switch {
	case d.Type == "":
		return nil, errors.New("type: say what kind of emergency it is, such as flood")
	case r.Terms.Level < 1:
		return nil, fmt.Errorf("level %q: it is low, medium, high or critical", d.Level)
	case r.TTL < 0 || time.Duration(r.TTL) > MaxTTL:
		return nil, fmt.Errorf("ttl %v: it must be positive, and at most %v", time.Duration(r.TTL), MaxTTL)
	}
	return r, r.validate()
}

// Declare makes the record of a person's declaration, as a hint. Suffix, which the caller
// draws, makes up an ID behind the type when the person gave none.
func (d *Declaration) Declare(now clock.Hybrid, suffix string) (*Record, error) {
	r, err := d.record(now)
	if err != nil {
		return nil, err
	}
	if d.ID == "" {
		r.ID = ID(d.Type + "-" + suffix)
	}
	wide := *r // what a broker adds may take so much
	wide.Version = Version{Seq: maxSeq, At: math.MaxUint64, By: clock.Actor(strings.Repeat("x", 73))}
	if _, err := wide.Event(); err != nil {
		return nil, err
	}
	return r, nil
}

// Parse reads the payload of an event with [EventName], from a broker or from a stock Serf
// command line: {"type":"flood","level":"critical"} or {"clear":"ID"}. It returns a hint:
// declared now when the event does not say when, and under an ID that is the same at all
// who hear it (rule E2), made of Serf's Lamport time, the name and the payload.
func Parse(payload []byte, ltime uint64, now clock.Hybrid) (*Record, error) {
	if len(payload) > maxEvent {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(payload), maxEvent)
	}
	var d Declaration
	if err := json.Unmarshal(payload, &d); err != nil { // fields of a newer broker do no harm
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
		if !validWriter(d.By) {
			return nil, errNoWriter
		}
		return &Record{ID: d.Clear, Cleared: []Mark{{at, d.By}}}, nil
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

// hashID is ten characters that depend on the event alone (rule E2).
func hashID(payload []byte, ltime uint64) string {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, ltime))
	h.Write([]byte(EventName))
	h.Write([]byte{0})
	h.Write(payload)
	return hex.EncodeToString(h.Sum(nil))[:hashLength]
}

const hashLength = 10

// Event is the payload that floods what this record says: its clear, or its terms, with as
// much of the message as there is room for. It fails when scope and selection take too
// much: an event without them would reach too far.
func (r *Record) Event() ([]byte, error) {
	if len(r.Cleared) > 0 {
		return json.Marshal(Declaration{Clear: r.ID, At: r.Cleared[0].At, By: r.Cleared[0].By})
	}
	d := Declaration{
		ID: r.ID, Type: r.Terms.Type, Level: job.LevelName(r.Terms.Level), Scope: r.Terms.Scope, Select: r.Terms.Select,
		TTL: r.TTL, Declared: r.Declared, Seq: r.Version.Seq, At: r.Version.At, By: r.Version.By,
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err) // strings and numbers can be encoded
	}
	if len(b) > maxEvent {
		return nil, fmt.Errorf("its ID, scope and selection make an event of up to %d bytes, and only %d can be flooded: use fewer or shorter conditions", len(b), maxEvent)
	}
	for text := r.Terms.Message; text != ""; text = shorter(text) {
		d.Message = text
		if m, err := json.Marshal(d); err == nil && len(m) <= maxEvent {
			return m, nil
		}
	}
	return b, nil
}

// shorter takes an eighth of a text away, at least one character.
func shorter(text string) string {
	cut := len(text) - max(len(text)/8, 1)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
