package head

import (
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
)

// Chain makes the heads of a broker, one a commit. One goroutine owns it. Make one with [NewChain].
type Chain struct {
	key  identity.Key
	last *Head
}

// NewChain makes an empty chain of a broker that signs with its member's key.
func NewChain(key identity.Key) *Chain { return &Chain{key: key} }

// Next signs the head of a commit in which an actor has written these slots, the last of them with the update d. A head of another
// actor than the one before begins a chain of its own. D is above that of the head before.
func (c *Chain) Next(d clock.Dot, leaves []Hash) (*Head, error) {
	h := &Head{Actor: d.Actor, Counter: d.Counter, Slots: uint64(len(leaves)), Root: Root(leaves)}
	if c.last != nil && c.last.Actor == d.Actor {
		h.Before, h.Previous = c.last.Counter, c.last.Hash()
	}
	signed, err := h.sign(c.key)
	if err == nil {
		c.last = signed
	}
	return signed, err
}
