package head

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Sheet is a commit of a broker: its head, and the leaves that it is over. Each update is in one commit of a chain, so a sheet says of a
// slot that names its update whether the writer has written it.
type Sheet struct {
	Head   *Head
	Leaves []Hash
}

// MaxSheetSlots bounds the slots of a sheet. Of a commit with more there is none.
const MaxSheetSlots = 32 << 10

// maxSheet bounds an encoded sheet, in bytes.
const maxSheet = binary.MaxVarintLen64 + MaxSize + MaxSheetSlots*len(none)

// Encode is the sheet as it is sent and stored.
func (s *Sheet) Encode() []byte {
	raw := s.Head.Encode()
	out := make([]byte, 0, binary.MaxVarintLen64+len(raw)+len(s.Leaves)*len(none))
	out = append(binary.AppendUvarint(out, uint64(len(raw))), raw...)
	for _, leaf := range s.Leaves {
		out = append(out, leaf[:]...)
	}
	return out
}

// DecodeSheet reads a sheet, and checks that its head is over these leaves; whose signature that has is another question
// ([Head.SignedBy]).
func DecodeSheet(b []byte) (*Sheet, error) {
	n, used := binary.Uvarint(b)
	if len(b) > maxSheet || used <= 0 || n > uint64(len(b)-used) {
		return nil, errors.New("head: this is no sheet")
	}
	h, err := Decode(b[used : used+int(n)]) //nolint:gosec // it is at most len(b)
	if err != nil {
		return nil, err
	}
	rest := b[used+int(n):] //nolint:gosec // likewise
	s := &Sheet{Head: h}
	for leaf := range slices.Chunk(rest, len(none)) {
		if len(leaf) != len(none) {
			return nil, errors.New("head: a sheet ends within a leaf")
		}
		s.Leaves = append(s.Leaves, Hash(leaf))
	}
	if uint64(len(s.Leaves)) != h.Slots || Root(s.Leaves) != h.Root {
		return nil, fmt.Errorf("head: the leaves of a sheet are not those of the commit at %v", h.Dot())
	}
	return s, nil
}

// Covers reports whether an update of its actor is in the commit.
func (s *Sheet) Covers(counter uint64) bool {
	return s.Head.Before < counter && counter <= s.Head.Counter
}

// Has reports whether the commit has written a slot.
func (s *Sheet) Has(leaf Hash) bool { return slices.Contains(s.Leaves, leaf) }
