package broker

import (
	"errors"
	"fmt"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// Version of the protocol between brokers; a message of another is refused.
const Version = 1

// Bounds of what comes from a peer (rule L11).
const (
	MaxPage    = 1 << 20 // bytes of encoded records in one message
	MaxMessage = 2 << 20 // bytes of one message
	MaxState   = 256 << 10
	maxClock   = 4096 // entries of a vector
	maxRows    = 4096
)

// Message is the only message between brokers: here is what you lack since this,
// and here is my clock (rules L4, L5, S4). It travels as msgpack in POST
// /broker/sync-metadata.
type Message struct {
	Version int          `codec:"v"`
	From    string       `codec:"from"`
	Actor   clock.Actor  `codec:"actor"`
	Hybrid  clock.Hybrid `codec:"hybrid"`
	Clock   clock.Vector `codec:"clock"`          // what the sender holds
	Row     *Row         `codec:"row,omitempty"`  // the sender's metadata (rule S4)
	Want    bool         `codec:"want,omitempty"` // a pull: answer with what I lack
	Page    *Page        `codec:"page,omitempty"` // part of a transfer (rule L5)
	Delta   *Delta       `codec:"delta,omitempty"`
}

// Reply answers a Message, after the receiver has synced what it brought.
type Reply struct {
	Version int          `codec:"v"`
	From    string       `codec:"from"`
	Actor   clock.Actor  `codec:"actor"`
	Hybrid  clock.Hybrid `codec:"hybrid"`
	Clock   clock.Vector `codec:"clock"`             // what the receiver holds now, the message included
	Restart bool         `codec:"restart,omitempty"` // the delta's base or the transfer is not mine: start from Clock
	Row     *Row         `codec:"row,omitempty"`
	Delta   *Delta       `codec:"delta,omitempty"` // what the asker lacks, when it wanted that and it fits
}

// Page places a message in a transfer.
type Page struct {
	Transfer uint64 `codec:"t"` // unique for the sender's actor
	Number   int    `codec:"n"` // from 0
	Last     bool   `codec:"last,omitempty"`
}

// Delta is a ledger.Delta on the wire.
type Delta struct {
	Since   clock.Vector `codec:"since"`
	Records []Encoded    `codec:"records,omitempty"`
	Clock   clock.Vector `codec:"clock,omitempty"`

	decoded []ledger.Entry
	bad     int // records that did not validate (rule L10)
}

// Encoded is one record on the wire.
type Encoded struct {
	Kind  ledger.Kind `codec:"k"`
	Bytes []byte      `codec:"b"`
}

var wire = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.WriteExt = true
	return h
}()

// Encode gives the bytes of a Message, Reply or State.
func Encode[T Message | Reply | State](v *T) []byte {
	var out []byte
	if err := codec.NewEncoderBytes(&out, wire).Encode(v); err != nil {
		panic("broker: encoding a message: " + err.Error()) // it holds nothing that msgpack can't express
	}
	return out
}

// DecodeMessage reads and validates a peer's message. Its records are decoded
// here, off the broker's goroutine.
func DecodeMessage(b []byte) (Message, error) {
	var m Message
	if err := decodeWire(b, MaxMessage, &m); err != nil {
		return m, err
	}
	if err := checkPeer(m.Version, m.From, m.Actor, m.Clock, m.Row); err != nil {
		return m, err
	}
	if m.Page != nil && m.Delta == nil {
		return m, errors.New("a page without records")
	}
	return m, m.Delta.decode()
}

// DecodeReply reads and validates a peer's reply.
func DecodeReply(b []byte) (Reply, error) {
	var r Reply
	if err := decodeWire(b, MaxMessage, &r); err != nil {
		return r, err
	}
	if err := checkPeer(r.Version, r.From, r.Actor, r.Clock, r.Row); err != nil {
		return r, err
	}
	return r, r.Delta.decode()
}

func decodeWire(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("message of %d bytes, at most %d are allowed", len(b), limit)
	}
	return codec.NewDecoderBytes(b, wire).Decode(v)
}

func checkPeer(version int, from string, actor clock.Actor, c clock.Vector, row *Row) error {
	if version != Version {
		return fmt.Errorf("protocol version %d; this broker speaks %d: run the same ucp on all", version, Version)
	}
	if !job.ValidName(from) || actor.Broker() != from {
		return fmt.Errorf("sender %.64q with actor %.80q", from, actor)
	}
	if row != nil {
		if err := row.validate(); err != nil {
			return err
		}
		if row.Name != from || row.Actor != actor {
			return fmt.Errorf("metadata of %q in a message of %q (rule S4)", row.Actor, actor)
		}
	}
	return checkVector(c)
}

func checkVector(v clock.Vector) error {
	if len(v) > maxClock {
		return fmt.Errorf("vector clock of %d entries, at most %d are allowed", len(v), maxClock)
	}
	return v.Valid()
}

// Bad is the number of records that did not validate; d may be nil.
func (d *Delta) Bad() int {
	if d == nil {
		return 0
	}
	return d.bad
}

// decode reads the records. One that does not validate is counted and left out;
// the delta's clock is then not adopted, so that nothing is taken for held that
// is not (rule L10).
func (d *Delta) decode() error {
	if d == nil {
		return nil
	}
	if err := errors.Join(checkVector(d.Since), checkVector(d.Clock)); err != nil {
		return err
	}
	for _, e := range d.Records {
		s, ok := schemas[e.Kind]
		if !ok {
			d.bad++
			continue
		}
		r, err := s.Decode(e.Bytes)
		if err != nil {
			d.bad++
			continue
		}
		d.decoded = append(d.decoded, ledger.Entry{Kind: e.Kind, Record: r})
	}
	return nil
}

// toLedger gives the decoded delta to the ledger.
func (d *Delta) toLedger() ledger.Delta {
	out := ledger.Delta{Since: d.Since, Entries: d.decoded, Clock: d.Clock}
	if d.bad > 0 {
		out.Clock = nil
	}
	return out
}

func fromLedger(d ledger.Delta) *Delta {
	out := &Delta{Since: d.Since, Clock: d.Clock, Records: make([]Encoded, len(d.Entries))}
	for i, e := range d.Entries {
		out.Records[i] = Encoded{e.Kind, e.Encoded}
	}
	return out
}
