package carry

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Type says what a frame holds.
type Type byte

// The types of frames, in the order in which they come.
const (
	TypeHeader  Type = 'H' // [Header]
	TypeProof   Type = 'P' // what an authority has said of the packer, in a file that introduces it
	TypeHead    Type = 'S' // signed heads, a list (rule H1)
	TypeWord    Type = 'W' // what a broker says of itself, as it has said it (rule B3)
	TypeRecords Type = 'R' // a page of records
	TypeClock   Type = 'C' // [Clocks]: all records have come
	TypeBlob    Type = 'B' // [Blob]: a blob begins
	TypeData    Type = 'D' // bytes of it
	TypeLacks   Type = 'L' // [Lacks]: what the packer would like to have
	TypeEnd     Type = 'E' // [End]
)

// MaxFrame bounds what a frame holds, in bytes: as much as a message between brokers.
const MaxFrame = 2 << 20

// A Seal closes a frame: it is made over the hash of all that came before.
type Seal struct {
	Size int                               // in bytes
	Make func(hash []byte) []byte          // nil of a reader
	Open func(hash, seal []byte) (ok bool) // nil of a writer
}

// Hashed is the seal where nobody signs: it shows damage, and no forgery.
func Hashed() Seal {
	return Seal{Size: sha256.Size, Make: func(hash []byte) []byte { return hash }, Open: func(hash, seal []byte) bool { return string(hash) == string(seal) }}
}

// Writer writes the frames of a file.
type Writer struct {
	w     io.Writer
	seal  Seal
	chain [sha256.Size]byte
	Bytes int64 // of frames so far
}

// NewWriter writes a preamble to out and returns what writes frames to what body makes of out: out itself, or what encrypts
// into it.
func NewWriter(out io.Writer, p *Preamble, seal Seal, body func(io.Writer) (io.Writer, error)) (*Writer, error) {
	raw := p.bytes()
	if err := p.check(); err != nil {
		return nil, err
	}
	if _, err := out.Write(raw); err != nil {
		return nil, err
	}
	frames := out
	if body != nil {
		var err error
		if frames, err = body(out); err != nil {
			return nil, err
		}
	}
	return &Writer{w: frames, seal: seal, chain: sha256.Sum256(raw)}, nil
}

// Write writes a frame.
func (w *Writer) Write(t Type, payload []byte) error {
	if len(payload) > MaxFrame {
		return fmt.Errorf("carry: a frame of %d bytes, at most %d are allowed", len(payload), MaxFrame)
	}
	head := frameHead(t, len(payload))
	w.chain = next(w.chain, head, payload)
	for _, b := range [][]byte{head, payload, w.seal.Make(w.chain[:])} {
		n, err := w.w.Write(b)
		if w.Bytes += int64(n); err != nil {
			return err
		}
	}
	return nil
}

// Overhead is how many bytes a frame takes beside what it holds.
func (w *Writer) Overhead() int64 { return headSize + int64(w.seal.Size) }

const headSize = 5

func frameHead(t Type, size int) []byte {
	return binary.BigEndian.AppendUint32([]byte{byte(t)}, uint32(size))
}

// next is the hash of all up to a frame.
func next(before [sha256.Size]byte, head, payload []byte) (out [sha256.Size]byte) {
	h := sha256.New()
	h.Write(before[:])
	h.Write(head)
	h.Write(payload)
	h.Sum(out[:0])
	return out
}

// Reader reads the frames of a file.
type Reader struct {
	Preamble *Preamble
	r        io.Reader
	seal     Seal
	chain    [sha256.Size]byte
	ended    bool
}

// NewReader reads a file's preamble. Before the first frame [Reader.Unlock] has to be called.
func NewReader(in io.Reader) (*Reader, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	p, raw, err := readPreamble(buffered)
	if err != nil {
		return nil, err
	}
	return &Reader{Preamble: p, r: buffered, chain: sha256.Sum256(raw)}, nil
}

// Unlock says how frames are sealed, and how they are decrypted, nil where they are not.
func (r *Reader) Unlock(seal Seal, body func(io.Reader) (io.Reader, error)) error {
	r.seal = seal
	if body == nil {
		return nil
	}
	in, err := body(r.r)
	if err != nil {
		return err
	}
	r.r = in
	return nil
}

// Next reads a frame. After the last one it returns io.EOF; ErrCut where the file ends before that.
func (r *Reader) Next() (Type, []byte, error) {
	if r.ended {
		return 0, nil, io.EOF
	}
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r.r, head); err != nil {
		return 0, nil, wrong(err)
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > MaxFrame {
		return 0, nil, fmt.Errorf("%w: a frame says that it has %d bytes", ErrChanged, size)
	}
	payload := make([]byte, int(size)+r.seal.Size)
	if _, err := io.ReadFull(r.r, payload); err != nil {
		return 0, nil, wrong(err)
	}
	payload, seal := payload[:size:size], payload[size:]
	r.chain = next(r.chain, head, payload)
	if !r.seal.Open(r.chain[:], seal) {
		return 0, nil, ErrChanged
	}
	t := Type(head[0])
	r.ended = t == TypeEnd
	return t, payload, nil
}

// wrong says why there are no more bytes.
func wrong(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return fmt.Errorf("reading the file: %w", err)
}
