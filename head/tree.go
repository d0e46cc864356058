package head

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256; the zero one stands for none.
type Hash = tlog.Hash

var none Hash

// Slot is the smallest thing that one writer writes into a record, and that a merge takes or leaves as a whole.
type Slot struct {
	Kind, Key string // of the record
	Part      string // of it, such as "verdict"
	Content   []byte // canonical bytes
}

// Leaf is the slot's hash in the tree of a commit. The length of each field stands before it, so that two slots never have one.
func (s Slot) Leaf() Hash {
	b := make([]byte, 0, len(s.Kind)+len(s.Key)+len(s.Part)+len(s.Content)+16)
	for _, field := range []string{s.Kind, s.Key, s.Part} {
		b = append(binary.AppendUvarint(b, uint64(len(field))), field...)
	}
	return tlog.RecordHash(append(b, s.Content...))
}

// Path proves that a leaf is in a tree: the hashes beside the way to its root, from the bottom.
type Path []Hash

// Root is that of the tree over these leaves.
func Root(leaves []Hash) Hash {
	switch n := len(leaves); n {
	case 0:
		h, _ := tlog.TreeHash(0, nil) // that of no leaves; it reads nothing, and can't fail
		return h
	case 1:
		return leaves[0]
	default:
		k := left(n)
		return tlog.NodeHash(Root(leaves[:k]), Root(leaves[k:]))
	}
}

// PathTo is the path to the leaf of an index, one of those that there are.
func PathTo(leaves []Hash, index int) Path {
	n := len(leaves)
	if n <= 1 {
		return nil
	}
	k := left(n)
	if index < k {
		return append(PathTo(leaves[:k], index), Root(leaves[k:]))
	}
	return append(PathTo(leaves[k:], index-k), Root(leaves[:k]))
}

// left is how many of n leaves, at least 2, are in the left half of their tree: the greatest power of two that is less.
func left(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Holds returns nil if the path proves that the commit of this head has written a slot, as the leaf of an index.
func (h *Head) Holds(s Slot, index uint64, p Path) error {
	if index >= h.Slots {
		return fmt.Errorf("head: the commit at %v has %d slots, and none of index %d", h.Dot(), h.Slots, index)
	}
	err := tlog.CheckRecord(tlog.RecordProof(p), int64(h.Slots), h.Root, int64(index), s.Leaf())
	if err != nil {
		return fmt.Errorf("head: %s of the %s %.80q is not what %s has written up to %d: %w", s.Part, s.Kind, s.Key, h.Actor, h.Counter, err)
	}
	return nil
}
