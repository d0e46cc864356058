package wire

import (
	"errors"
	"fmt"

	"github.com/urban-compute/ucp/clock"
)

// Word is what one start of a broker says of itself, apart from a message: it may come late, by way of others, and more than once
// (rule B3). Its clocks are whole.
type Word struct {
	From     string       `codec:"from"`
	Actor    clock.Actor  `codec:"actor"`
	Hybrid   clock.Hybrid `codec:"hybrid"`
	Clock    clock.Tips   `codec:"clock"`
	Told     *Told        `codec:"told"` // the version of its clocks, and what is stable; Since is 0
	Metadata *Metadata    `codec:"row"`
}

// Encode gives the bytes of a word.
func (w *Word) Encode() []byte { return encode(w, 1<<10) }

// DecodeWord reads and validates a broker's word.
func DecodeWord(b []byte) (*Word, error) {
	w := new(Word)
	if err := decodeWire(b, w); err != nil {
		return nil, err
	}
	if w.Told == nil || w.Metadata == nil {
		return nil, fmt.Errorf("word of %.64q without its clocks, or without what it is", w.From)
	}
	if err := errors.Join(checkPeer(Version, w.From, w.Actor, w.Clock, w.Metadata), w.Told.check()); err != nil {
		return nil, err
	}
	if t := w.Told; t.Version == 0 || t.Since != 0 || t.Digest != DigestOf(w.Clock, t.Stable) {
		return nil, fmt.Errorf("word of %.64q: its clocks are not those that it names", w.From)
	}
	return w, nil
}

// EncodePage gives the bytes of records that are carried, in the encoding of a message.
func EncodePage(d *Delta) []byte {
	out := Delta{Records: d.Records}
	return encode(&out, sizeHint(&Message{Delta: d}))
}

// DecodePage reads and validates records that were carried, as those of a message are.
func DecodePage(b []byte) (*Delta, error) {
	d := new(Delta)
	if err := decodeWire(b, d); err != nil {
		return nil, err
	}
	if len(d.Since) > 0 || len(d.Clock) > 0 || d.Base != 0 {
		return nil, errors.New("a page of carried records with clocks of its own")
	}
	return d, d.decode()
}
