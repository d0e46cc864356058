// Package wire holds what brokers say to each other, and its codec: [Message] and [Reply], the
// [Metadata] of each broker, and the [State] that rides on Serf's push-pull. What comes from a
// peer is validated here, off the broker's goroutine, so that everything behind this package
// may take it for granted.
//
// The field names on the wire are fixed; the rules are numbered in docs/protocol.md.
package wire

import (
	"errors"
	"fmt"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/ledger"
)

// The versions of the protocol between brokers that this one speaks: a message of another is
// refused (rule K5). Version 1 has records of jobs, settings and emergencies. V2 says more of peers in a push-pull (K4). Until
// every member speaks V3, nothing of what that brought is written or told: member records (M1), rows of starts (K1), stubs
// (M4), seals (F2), durations (T3), stable clocks (F1), and changes of clocks (K4). Until then for V4, no job has a directory
// among its inputs or outputs; its messages are those of V3. Until then for V5, no job reads what another has left (C6). Until then for V6, there is no named data (D1).
// Until then for V7, no job has checkpoints (J17), for V8, none a module that is named data (D8), and for V9, none runs after an array (C4).
const (
	Lowest  = 1
	V2      = 2
	V3      = 3
	V4      = 4
	V5      = 5
	V6      = 6
	V7      = 7
	V8      = 8
	V9      = 9
	Version = V9 // the highest
)

// Bounds of what comes from a peer (rule L11).
const (
	MaxPage     = 1 << 20 // bytes of encoded records in one message
	MaxMessage  = 2 << 20 // bytes of one message
	MaxClock    = 4096    // brokers that have entries in a clock
	MaxMetadata = 4096
)

// Message is the only message between brokers: here is what you lack since this,
// and here is my clock (rules L4, L5, S4). It travels as msgpack in POST
// /broker/sync-metadata.
type Message struct {
	Version  int          `codec:"v"` // the highest that both speak, as far as the sender knows
	From     string       `codec:"from"`
	Actor    clock.Actor  `codec:"actor"`
	Hybrid   clock.Hybrid `codec:"hybrid"`
	Clock    clock.Tips   `codec:"clock,omitempty"`    // what the sender holds; not on the wire when Told says what has changed
	Seen     clock.Tips   `codec:"seen,omitempty"`     // Clock and what it has in quarantine, when there is any (rule L10)
	Metadata *Metadata    `codec:"row,omitempty"`      // the sender's metadata (rule S4)
	Want     bool         `codec:"want,omitempty"`     // a pull: answer with what I lack
	Live     bool         `codec:"live,omitempty"`     // answer with the digest of your unfinished records (rule L9)
	LiveSum  uint64       `codec:"live_sum,omitempty"` // of what the sender expects as that digest; 0 when it expects nothing
	Audit    *Audit       `codec:"audit,omitempty"`    // which of these have you forgotten?
	Page     *Page        `codec:"page,omitempty"`     // part of a transfer (rule L5)
	Delta    *Delta       `codec:"delta,omitempty"`

	// To is the receiver's actor, as the sender knows it (rule X3), Heard the latest Beat of that actor that
	// the sender has heard: so the receiver sees that messages pass both ways (rule P1). A sender of the
	// version before leaves these out, or 0.
	To    clock.Actor `codec:"to,omitempty"`
	Heard uint64      `codec:"heard,omitempty"`
	Beat  uint64      `codec:"beat,omitempty"` // how long the sender has run, in milliseconds from 1 on

	// Told says what the sender's clocks are, ToldHeard the version of the receiver's that it has heard (rule K4).
	// Version 1 of the protocol has neither.
	Told      *Told  `codec:"told,omitempty"`
	ToldHeard uint64 `codec:"told_heard,omitempty"`

	// Much says that what the receiver lacks does not fit into a message: the receiver chooses who sends it, and
	// Lease says whom the sender of this message has chosen (rule R1).
	Much  bool   `codec:"much,omitempty"`
	Lease *Lease `codec:"lease,omitempty"`

	// Heads are signed heads of actors, which the receiver is not known to have (rules H1, H2): the shells tell them to each other.
	Heads [][]byte `codec:"heads,omitempty"`
}

// Lease is from whom a broker gets what it lacks, when that is much (rule R1).
type Lease struct {
	Donor clock.Actor `codec:"a"`
	Upto  clock.Tips  `codec:"c"` // others send only what is newer
}

// Reply answers a Message, after the receiver has synced what it brought.
type Reply struct {
	Version  int          `codec:"v"` // that of the message
	From     string       `codec:"from"`
	Actor    clock.Actor  `codec:"actor"`
	Hybrid   clock.Hybrid `codec:"hybrid"`
	Clock    clock.Tips   `codec:"clock,omitempty"`   // what the receiver holds now, the message included; as in Message
	Seen     clock.Tips   `codec:"seen,omitempty"`    // as in Message
	Restart  bool         `codec:"restart,omitempty"` // the delta's base or the transfer is not mine: start from Clock
	Taken    bool         `codec:"taken,omitempty"`   // Clock can't move yet, but all that the message's delta brought is synced: what its sender holds beyond Since (rule R2)
	Metadata *Metadata    `codec:"row,omitempty"`
	Beat     uint64       `codec:"beat,omitempty"`      // as in Message
	Much     bool         `codec:"much,omitempty"`      // as in Message
	Lease    *Lease       `codec:"lease,omitempty"`     // as in Message
	Delta    *Delta       `codec:"delta,omitempty"`     // what the asker lacks, when it wanted that and it fits
	Live     []byte       `codec:"live,omitempty"`      // see Message.Live
	LiveSame bool         `codec:"live_same,omitempty"` // Live, which is left out, is what the message expects

	Told      *Told  `codec:"told,omitempty"` // as in Message
	ToldHeard uint64 `codec:"told_heard,omitempty"`

	Heads [][]byte `codec:"heads,omitempty"` // as in Message

	// Forgotten names records of the message, or of its Audit, that the receiver has
	// known and forgotten: the sender drops them (rules L4, L7, L9).
	Forgotten []ledger.Ref `codec:"forgotten,omitempty"`
	// Held names records of the Audit that the receiver holds, and of which it has no doubt (rule F3). Of those that have
	// ended there, Delta brings what it holds.
	Held []ledger.Ref `codec:"held,omitempty"`
	// Doubted names records of the Audit that the receiver holds, and of which it is in doubt itself (rule F3).
	Doubted []ledger.Ref `codec:"doubted,omitempty"`
	// Unread is how many of the last records of the Audit were not looked at, since the answer would be too long.
	Unread int `codec:"unread,omitempty"`
}

// Audit lists unfinished records of the sender whose dots the receiver's clock
// covers, where the digests of both differ (rule L9).
type Audit struct {
	Since   clock.Tips   `codec:"since"` // the receiver's clock, as it told it with its digest
	Records []ledger.Ref `codec:"records"`

	// Ended is how many of the last records have ended at the sender, and were not stable on the disk with which its proof
	// began (rules F3, M3). Of these the receiver sends what it holds beyond Disk, the clock of that disk.
	Ended int        `codec:"ended,omitempty"`
	Disk  clock.Tips `codec:"disk,omitempty"`
}

// MaxAudit bounds the records of one audit: more are looked at in the next.
const MaxAudit = 8192

// Base is the clock from which a peer wants to be sent what it lacks.
func Base(held, seen clock.Tips) clock.Tips {
	if len(seen) > 0 {
		return seen
	}
	return held
}

// Page places a message in a transfer.
type Page struct {
	Transfer uint64 `codec:"t"` // unique for the sender's actor
	Number   int    `codec:"n"` // from 0
	Last     bool   `codec:"last,omitempty"`
}

// Delta is a ledger.Delta on the wire.
type Delta struct {
	Since   clock.Tips `codec:"since,omitempty"` // not on the wire when Base says what it is
	Base    uint64     `codec:"base,omitempty"`  // the digest of the clocks that the receiver has told, if Since is what these hold (rule K4)
	Records []Encoded  `codec:"records,omitempty"`
	Clock   clock.Tips `codec:"clock,omitempty"` // on the wire, of that only what Since does not list

	decoded []ledger.Entry
	bad     int // records that did not validate (rule L10)
}

// Encoded is one record on the wire.
type Encoded struct {
	Kind  ledger.Kind  `codec:"k"`
	Key   string       `codec:"id"`
	Dots  clock.Vector `codec:"d"` // its writers' latest, for whoever can't read it (rule L10)
	Bytes []byte       `codec:"b"`
}

var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.WriteExt = true
	return h
}()

// Encode gives the bytes of a Message or a Reply. What its receiver knows already is left out (rule K4).
func Encode[T Message | Reply](v *T) []byte {
	out := *v
	switch m := any(&out).(type) {
	case *Message:
		m.Clock, m.Delta = m.Told.spare(m.Clock), m.Delta.spare(m.Version)
	case *Reply:
		m.Clock, m.Delta = m.Told.spare(m.Clock), m.Delta.spare(m.Version)
	}
	return encode(&out, sizeHint(&out))
}

// encode gives the bytes of any value of this package; size is about how many they are.
func encode(v any, size int) []byte {
	out := make([]byte, 0, size)
	if err := codec.NewEncoderBytes(&out, handle).Encode(v); err != nil {
		panic("broker: encoding a message: " + err.Error()) // it holds nothing that msgpack can't express
	}
	return out
}

// sizeHint is about how many bytes a message takes: growing a buffer of many records copies
// them several times over.
func sizeHint[T Message | Reply](v *T) int {
	var d *Delta
	switch v := any(v).(type) {
	case *Message:
		d = v.Delta
	case *Reply:
		d = v.Delta
	}
	n := 1 << 10
	if d != nil {
		for _, e := range d.Records {
			n += len(e.Key) + len(e.Bytes) + 64*(1+len(e.Dots))
		}
	}
	return n
}

// DecodeMessage reads and validates a peer's message. Its records are decoded
// here, off the broker's goroutine.
func DecodeMessage(b []byte) (Message, error) {
	var m Message
	if err := decodeWire(b, &m); err != nil {
		return m, err
	}
	if err := errors.Join(checkPeer(m.Version, m.From, m.Actor, m.Clock, m.Metadata), checkClock(m.Seen), m.Told.check(), m.Lease.check()); err != nil {
		return m, err
	}
	if a := m.Audit; a != nil {
		if err := errors.Join(checkClock(a.Since), checkClock(a.Disk)); err != nil || len(a.Records) > MaxAudit || a.Ended < 0 || a.Ended > len(a.Records) {
			return m, fmt.Errorf("an audit of %d records (%w)", len(a.Records), err)
		}
	}
	if m.Page != nil && m.Delta == nil {
		return m, errors.New("a page without records")
	}
	return m, m.Delta.decode()
}

// DecodeReply reads and validates a peer's reply.
func DecodeReply(b []byte) (Reply, error) {
	var r Reply
	if err := decodeWire(b, &r); err != nil {
		return r, err
	}
	if err := errors.Join(checkPeer(r.Version, r.From, r.Actor, r.Clock, r.Metadata), checkClock(r.Seen), r.Told.check(), r.Lease.check()); err != nil {
		return r, err
	}
	return r, r.Delta.decode()
}

func decodeWire(b []byte, v any) error {
	if len(b) > MaxMessage { // as much as a push-pull state may have
		return fmt.Errorf("message of %d bytes, at most %d are allowed", len(b), MaxMessage)
	}
	return codec.NewDecoderBytes(b, handle).Decode(v)
}

func checkPeer(version int, from string, actor clock.Actor, c clock.Tips, row *Metadata) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	if !label.ValidName(from) || actor.Broker() != from {
		return fmt.Errorf("sender %.64q with actor %.80q", from, actor)
	}
	if row != nil {
		if err := row.Validate(); err != nil {
			return err
		}
		if row.Name != from || row.Actor != actor {
			return fmt.Errorf("metadata of %q in a message of %q (rule S4)", row.Actor, actor)
		}
	}
	return checkClock(c)
}

func checkVersion(version int) error {
	if version < Lowest || version > Version {
		return fmt.Errorf("protocol version %d; this broker speaks %d to %d: upgrade the older one", version, Lowest, Version)
	}
	return nil
}

func (l *Lease) check() error {
	if l == nil {
		return nil
	}
	return checkClock(l.Upto)
}

func checkClock(c clock.Tips) error {
	if n := c.Names(); n > MaxClock {
		return fmt.Errorf("vector clock of %d brokers, at most %d are allowed", n, MaxClock)
	}
	for _, d := range c {
		if len(d.Actor) > maxActor {
			return fmt.Errorf("vector clock with the actor %.80q of %d bytes, at most %d are allowed", d.Actor, len(d.Actor), maxActor)
		}
	}
	return c.Valid()
}

// maxActor is the longest actor in a clock, in bytes: it becomes part of a key of the store.
const maxActor = 256

// Bad is the number of records that did not validate; d may be nil.
func (d *Delta) Bad() int {
	if d == nil {
		return 0
	}
	return d.bad
}

// decode reads the records. One that does not validate is counted and stays
// undecoded: the ledger puts it into quarantine (rule L10).
func (d *Delta) decode() error {
	if d == nil {
		return nil
	}
	if err := errors.Join(checkClock(d.Since), checkClock(d.Clock)); err != nil {
		return err
	}
	for _, e := range d.Records {
		in := ledger.Entry{Ref: ledger.Ref{Kind: e.Kind, Key: e.Key}, Dots: e.Dots, Encoded: e.Bytes}
		if s, ok := kind.Schemas[e.Kind]; ok {
			if r, err := s.Decode(e.Bytes); err == nil && r.Key() == e.Key {
				in.Record = r
			}
		}
		if in.Record == nil {
			d.bad++
		}
		d.decoded = append(d.decoded, in)
	}
	return nil
}

// ToLedger gives the decoded delta of a sender to the ledger.
func (d *Delta) ToLedger(from clock.Actor) ledger.Delta {
	return ledger.Delta{From: from, Since: d.Since, Entries: d.decoded, Clock: d.Clock}
}

// FromLedger makes the message of a delta that the ledger has taken; the inverse of [Delta.ToLedger].
func FromLedger(d ledger.Delta) *Delta {
	out := &Delta{Since: d.Since, Clock: d.Clock, Records: make([]Encoded, len(d.Entries))}
	for i, e := range d.Entries {
		out.Records[i] = Encoded{e.Kind, e.Key, e.Dots, e.Encoded}
	}
	return out
}
