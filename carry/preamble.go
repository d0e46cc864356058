package carry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// magic begins each file. The digit is the version of the format.
const magic = "ucp carry 1\n"

// Suffix is how the names of files end.
const Suffix = ".ucpcarry"

// Preamble is what anybody can read of a file.
type Preamble struct {
	ID   []byte      `codec:"id"`   // drawn: no other file has it
	From clock.Actor `codec:"from"` // the start of the broker that has packed it
	For  []string    `codec:"for"`  // names of those that it is for
	At   clock.Time  `codec:"at"`   // when it was packed, as far as the packer knew

	City       []byte `codec:"city,omitempty"`       // the name of the city; nothing where there is none
	Credential []byte `codec:"credential,omitempty"` // in a city, of the packer: what it shows on a connection
	Encrypted  bool   `codec:"encrypted,omitempty"`  // the frames are (age)
	Introduces bool   `codec:"introduces,omitempty"` // it only says who the packer is, and is for anybody
}

// Bounds of a preamble, in bytes and names.
const (
	maxPreamble = 512 << 10
	idSize      = 16
	maxFor      = 4096
	maxActor    = 256
)

func (p *Preamble) check() error {
	switch {
	case len(p.ID) != idSize:
		return errors.New("it has no number")
	case len(p.From) > maxActor || !label.ValidName(p.From.Broker()):
		return fmt.Errorf("%.80q can't have packed it", p.From)
	case len(p.For) > maxFor:
		return fmt.Errorf("it is for %d brokers, at most %d are allowed", len(p.For), maxFor)
	case len(p.City) > 64 || p.Encrypted && len(p.City) == 0 || (len(p.Credential) > 0) != (len(p.City) > 0):
		return errors.New("it is of a city, and does not say of which, or who has packed it")
	}
	for _, name := range p.For {
		if !label.ValidName(name) {
			return fmt.Errorf("%.80q is no broker that it can be for", name)
		}
	}
	return nil
}

// write gives the bytes with which a file begins.
func (p *Preamble) bytes() []byte {
	body := canon.Encode(p)
	return append(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(body))), body...)
}

// readPreamble reads the beginning of a file, and the bytes that it has.
func readPreamble(r io.Reader) (p *Preamble, raw []byte, err error) {
	raw = make([]byte, len(magic)+4)
	n, err := io.ReadFull(r, raw)
	switch {
	case n == 0:
		return nil, nil, ErrEmpty
	case string(raw[:min(n, len(magic))]) != magic[:min(n, len(magic))]:
		return nil, nil, ErrForeign
	case err != nil:
		return nil, nil, ErrCut
	}
	size := binary.BigEndian.Uint32(raw[len(magic):])
	if size > maxPreamble {
		return nil, nil, fmt.Errorf("%w: its preamble has %d bytes", ErrChanged, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, nil, ErrCut
	}
	p = new(Preamble)
	if err := canon.Decode(body, p); err != nil {
		return nil, nil, fmt.Errorf("%w: its preamble can't be read: %v", ErrChanged, err)
	}
	if err := p.check(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return p, append(raw, body...), nil
}

// What may be wrong with a file.
var (
	ErrEmpty   = errors.New("the file is empty")
	ErrForeign = errors.New("this is no file of `ucp carry pack`, or one of a newer version")
	ErrCut     = errors.New("the file ends too early: it was cut, or is still being copied")
	ErrChanged = errors.New("the file was changed after it was packed, or damaged")
)
