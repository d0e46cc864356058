// Package chunk cuts content where its bytes say so, and lists the pieces. It exists so that whoever brings a large blob here
// can check what comes piece by piece, take pieces from several brokers, and leave out those that it has in another blob: an
// insertion moves all that follows it, and changes only the pieces around it. A list is a description of a blob whose name
// stays the SHA-256 of all of it: a false list costs a transfer, and nothing else.
package chunk

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/restic/chunker"
)

// Bounds of a chunk in bytes; only the last one of a list may be smaller. On the average one has some 10 KiB: the smaller they are,
// the less is sent because of a small change, and the longer is the list (20 bytes a chunk).
const (
	Min         = 2 << 10
	Max         = 64 << 10
	averageBits = 13
)

// polynomial is that of the rolling hash, the same at all brokers. Another one would cut elsewhere: lists would still be true, and
// little be found in other blobs.
const polynomial chunker.Pol = 0x3DA3358B4DC173

// ID is the first half of the SHA-256 of a chunk's content.
type ID [16]byte

// IDOf is the ID of a content.
func IDOf(b []byte) ID {
	sum := sha256.Sum256(b)
	return ID(sum[:len(ID{})])
}

// Chunk is one piece of a content.
type Chunk struct {
	At   int64
	Size int
	ID   ID
}

// End is where the next one begins.
func (c Chunk) End() int64 { return c.At + int64(c.Size) }

// List is all of a content, in order.
type List []Chunk

// Size is that of the whole content in bytes.
func (l List) Size() int64 {
	if len(l) == 0 {
		return 0
	}
	return l[len(l)-1].End()
}

// Split reads a content to its end, and cuts it.
func Split(ctx context.Context, r io.Reader) (List, error) {
	c := chunker.NewWithBoundaries(r, polynomial, Min, Max)
	c.SetAverageBits(averageBits)
	var l List
	buf := make([]byte, Max)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x, err := c.Next(buf)
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cutting into chunks after %d bytes: %w", l.Size(), err)
		}
		l = append(l, Chunk{At: l.Size(), Size: len(x.Data), ID: IDOf(x.Data)})
	}
}

// magic begins an encoded list.
const magic = "ucp chunks 1\n"

// MaxEncoded is the most bytes that a list of so large a content has.
func MaxEncoded(size int64) int64 {
	return int64(len(magic)) + (size/Min+1)*int64(binary.MaxVarintLen16+len(ID{}))
}

// Encode writes a list.
func (l List) Encode() []byte {
	b := make([]byte, 0, len(magic)+len(l)*(binary.MaxVarintLen16+len(ID{})))
	b = append(b, magic...)
	for _, c := range l {
		b = binary.AppendUvarint(b, uint64(c.Size))
		b = append(b, c.ID[:]...)
	}
	return b
}

// Decode reads a list of a content of at most so many bytes, which came from outside.
func Decode(b []byte, most int64) (List, error) {
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return nil, errors.New("it is no list of chunks of a version that is known here")
	}
	if int64(len(b)) > MaxEncoded(most) {
		return nil, fmt.Errorf("it has %d bytes, and a list of %d bytes has at most %d", len(b), most, MaxEncoded(most))
	}
	b = b[len(magic):]
	l := make(List, 0, len(b)/(1+len(ID{})))
	at := int64(0)
	for len(b) > 0 {
		n, used := binary.Uvarint(b)
		if used <= 0 || n == 0 || n > Max || len(b) < used+len(ID{}) {
			return nil, fmt.Errorf("its chunk %d can't be read, or is no chunk", len(l))
		}
		last := len(b) == used+len(ID{})
		if at+int64(n) > most || n < Min && !last {
			return nil, fmt.Errorf("its chunk %d has %d bytes at %d of at most %d", len(l), n, at, most)
		}
		l = append(l, Chunk{At: at, Size: int(n), ID: ID(b[used : used+len(ID{})])})
		at, b = at+int64(n), b[used+len(ID{}):]
	}
	return l, nil
}
