package gossip

import (
	"bufio"
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// The types of memberlist's messages that this package looks into. The numbers are part of memberlist's protocol.
const (
	wirePing     byte = 0
	wireAck      byte = 2
	wireSuspect  byte = 3
	wireAlive    byte = 4
	wireDead     byte = 5
	wirePushPull byte = 6
	wireCompound byte = 7
	wireCompress byte = 9
	wireEncrypt  byte = 10
	wireCRC      byte = 12
)

// The states of a node in memberlist's push-pull.
const (
	stateAlive = 0
	stateDead  = 2
	stateLeft  = 3
)

// Bounds of what is decoded (rule L11).
const (
	maxStreamMessage = 40 << 20 // bytes of a stream's message, also decompressed, as in memberlist
	maxPacketMessage = 1 << 20  // bytes of a packet, decompressed; memberlist's own packets have 1,400
	maxPushPullNodes = 1 << 20  // as in memberlist
	maxNesting       = 4        // compound and compressed packets inside of each other; memberlist makes two
)

// The messages, with memberlist's field names, which are those on the wire.
type (
	// accusation is a suspect or a dead message. A node that leaves says it of itself.
	accusation struct {
		Incarnation uint32
		Node, From  string
	}
	announcement struct { // an alive message
		Incarnation uint32
		Node        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Vsn         []uint8
	}
	pushPullHeader struct {
		Nodes        int
		UserStateLen int
		Join         bool
	}
	pushPullNode struct {
		Name        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Incarnation uint32
		State       int
		Vsn         []uint8
	}
	compressed struct {
		Algo uint8 // 0: LZW, the only one
		Buf  []byte
	}
	pingRequest struct {
		SeqNo uint32
		Node  string
	}
	pingAnswer struct {
		SeqNo   uint32
		Payload []byte
	}
)

// decodeWire decodes a message without its type.
func decodeWire(b []byte, into any) error {
	return codec.NewDecoder(bytes.NewReader(b), &codec.MsgpackHandle{}).Decode(into)
}

// encodeWire encodes a message, preceded by its type.
func encodeWire(kind byte, values ...any) ([]byte, error) {
	buf := bytes.NewBuffer([]byte{kind})
	enc := codec.NewEncoder(buf, &codec.MsgpackHandle{})
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}

// decompress returns what a compressed message contains: another message with its type.
func (c compressed) decompress(limit int64) ([]byte, error) {
	if c.Algo != 0 {
		return nil, fmt.Errorf("unknown compression %d", c.Algo)
	}
	r := lzw.NewReader(bytes.NewReader(c.Buf), lzw.LSB, 8)
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("a compressed message has more than %d bytes", limit)
	case len(b) == 0:
		return nil, errors.New("a compressed message is empty")
	}
	return b, nil
}

// splitCompound returns the parts of a compound message without its type. As in memberlist, what is cut off at
// the end is left out.
func splitCompound(b []byte) (parts [][]byte, ok bool) {
	if len(b) < 1 || len(b) < 1+2*int(b[0]) {
		return nil, false
	}
	lengths, rest := b[1:1+2*int(b[0])], b[1+2*int(b[0]):]
	for ; len(lengths) > 0; lengths = lengths[2:] {
		n := int(binary.BigEndian.Uint16(lengths))
		if n > len(rest) {
			break
		}
		parts, rest = append(parts, rest[:n:n]), rest[n:]
	}
	return parts, true
}

// joinCompound makes a compound message of at most 255 parts, each of less than 64 KiB.
func joinCompound(parts [][]byte) []byte {
	out := []byte{wireCompound, byte(len(parts))}
	for _, p := range parts {
		out = binary.BigEndian.AppendUint16(out, uint16(len(p)))
	}
	return append(out, bytes.Join(parts, nil)...)
}

// pushPull is what one side says in a push-pull.
type pushPull struct {
	join  bool
	nodes []pushPullNode
	user  []byte // the delegate's state: Serf's, and our trailer
}

// readPushPull reads a push-pull without its type.
func readPushPull(r io.Reader) (pp pushPull, err error) {
	dec := codec.NewDecoder(r, &codec.MsgpackHandle{})
	var h pushPullHeader
	if err := dec.Decode(&h); err != nil {
		return pp, err
	}
	if h.Nodes < 0 || h.Nodes > maxPushPullNodes || h.UserStateLen < 0 || h.UserStateLen > maxStreamMessage {
		return pp, fmt.Errorf("a push-pull of %d nodes and %d bytes is too long", h.Nodes, h.UserStateLen)
	}
	pp.join = h.Join
	for range h.Nodes {
		var n pushPullNode
		if err := dec.Decode(&n); err != nil {
			return pp, err
		}
		pp.nodes = append(pp.nodes, n)
	}
	pp.user, err = io.ReadAll(io.LimitReader(r, int64(h.UserStateLen)))
	if err == nil && len(pp.user) < h.UserStateLen {
		err = io.ErrUnexpectedEOF
	}
	return pp, err
}

// encode returns the push-pull with its type.
func (pp pushPull) encode() ([]byte, error) {
	values := []any{&pushPullHeader{Nodes: len(pp.nodes), UserStateLen: len(pp.user), Join: pp.join}}
	for i := range pp.nodes {
		values = append(values, &pp.nodes[i])
	}
	b, err := encodeWire(wirePushPull, values...)
	return append(b, pp.user...), err
}

// recorder keeps what is read through it, so that it can be read again. It can take a byte back, without which
// the decoder would read too far.
type recorder struct {
	r    *bufio.Reader
	kept []byte
}

var errTooLong = fmt.Errorf("a message has more than %d bytes", maxStreamMessage)

// Read implements io.Reader.
func (r *recorder) Read(b []byte) (int, error) {
	if len(r.kept) > maxStreamMessage {
		return 0, errTooLong
	}
	n, err := r.r.Read(b)
	r.kept = append(r.kept, b[:n]...)
	return n, err
}

// ReadByte implements io.ByteReader.
func (r *recorder) ReadByte() (byte, error) {
	if len(r.kept) > maxStreamMessage {
		return 0, errTooLong
	}
	c, err := r.r.ReadByte()
	if err == nil {
		r.kept = append(r.kept, c)
	}
	return c, err
}

// UnreadByte implements io.ByteScanner.
func (r *recorder) UnreadByte() error {
	err := r.r.UnreadByte()
	if err == nil {
		r.kept = r.kept[:len(r.kept)-1]
	}
	return err
}

// readCompressed reads a compressed message without its type.
func readCompressed(r *recorder) ([]byte, error) {
	var c compressed
	if err := codec.NewDecoder(r, &codec.MsgpackHandle{}).Decode(&c); err != nil {
		return nil, err
	}
	return c.decompress(maxStreamMessage)
}
