package head

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/label"
)

// Head is what a broker says of one of its commits, signed. It is immutable; one that was decoded is bound to its bytes, and not
// yet to a key ([Head.SignedBy]).
type Head struct {
	Actor    clock.Actor // whose chain it is on: each start of a broker has its own (rule K1)
	Counter  uint64      // of its last update in the commit
	Before   uint64      // the counter of the head before this one; 0 where there is none
	Slots    uint64      // that the commit has written
	Root     Hash        // of the tree over them
	Previous Hash        // the head before this one; none where there is none

	raw []byte
	by  func(identity.PublicKey) error
}

// body is a head as it is signed.
type body struct {
	//lint:ignore U1000 the codec reads its tag
	_struct struct{} `codec:",toarray"`

	Actor                  clock.Actor
	Counter, Before, Slots uint64
	Root, Previous         []byte
}

// MaxSize bounds an encoded head, in bytes.
const MaxSize = 640

// maxActor bounds an actor, in bytes, as in clocks.
const maxActor = 256

// maxSlots bounds what one head may be over: no commit has so many.
const maxSlots = 1 << 40

// sign gives the head its bytes.
func (h *Head) sign(key identity.Key) (*Head, error) {
	b := body{Actor: h.Actor, Counter: h.Counter, Before: h.Before, Slots: h.Slots, Root: h.Root[:]}
	if h.Before > 0 {
		b.Previous = h.Previous[:]
	}
	return Decode(key.Sign(identity.HeadKind, &b))
}

// Decode reads a head, and checks all but whose signature it has.
func Decode(b []byte) (*Head, error) {
	var x body
	by, err := identity.OpenSigned(identity.HeadKind, b, MaxSize, &x)
	if err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	switch {
	case len(x.Actor) > maxActor || !label.ValidName(x.Actor.Broker()):
		return nil, fmt.Errorf("head: it is of %.80q, and no broker has such an actor", x.Actor)
	case x.Counter == 0 || x.Counter > clock.MaxCounter || x.Before >= x.Counter:
		return nil, fmt.Errorf("head: %s can't be at %d after %d", x.Actor, x.Counter, x.Before)
	case len(x.Root) != len(none) || x.Slots > maxSlots:
		return nil, errors.New("head: it has no root, or is over too many slots")
	case x.Before == 0 && len(x.Previous) > 0 || x.Before > 0 && len(x.Previous) != len(none):
		return nil, errors.New("head: it names no head before it where there is one, or the other way round")
	}
	h := &Head{Actor: x.Actor, Counter: x.Counter, Before: x.Before, Slots: x.Slots, Root: Hash(x.Root), raw: append([]byte(nil), b...), by: by}
	copy(h.Previous[:], x.Previous)
	return h, nil
}

// Encode is the head as it is sent and stored.
func (h *Head) Encode() []byte { return h.raw }

// Dot is the last update of the commit.
func (h *Head) Dot() clock.Dot { return clock.Dot{Actor: h.Actor, Counter: h.Counter} }

// SignedBy returns nil if the head has the signature of a key.
func (h *Head) SignedBy(key identity.PublicKey) error { return h.by(key) }

// Hash names the head.
func (h *Head) Hash() Hash { return sha256.Sum256(h.raw) }

// Same reports whether two heads are one.
func (h *Head) Same(o *Head) bool { return string(h.raw) == string(o.raw) }

// Contradicts reports whether two heads can't be on one chain: whoever has signed both has a fork (rule H2). That they do not
// contradict each other says that they are on one only where one names the other as the one before it.
func (h *Head) Contradicts(o *Head) bool {
	if h.Actor != o.Actor {
		return false
	}
	if h.Counter > o.Counter {
		h, o = o, h
	}
	switch {
	case h.Counter == o.Counter:
		return !h.Same(o)
	case o.Before == h.Counter:
		return o.Previous != h.Hash()
	}
	return o.Before < h.Counter // the chain of the later one has passed over the earlier one
}
