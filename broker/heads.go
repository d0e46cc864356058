package broker

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/ledger"
)

// heads are the last ones that actors of other brokers have signed, as far as this broker knows (rule H1): how many updates each has made
// at least. The shell has looked at the signatures.
type heads struct {
	*core
	signed map[clock.Actor]uint64
}

func newHeads(c *core) heads {
	h := heads{c, map[clock.Actor]uint64{}}
	c.ledger.BoundBy(h.bound)
	return h
}

// headKind is what heads are called among the broker's own values.
const headKind = "head"

// HeadOp is the write that stores a head in the commit that it is of.
func HeadOp(h *head.Head) ledger.Op {
	name, value := storedHead(h)
	return ledger.OwnOp(name, value)
}

func storedHead(h *head.Head) (name string, value []byte) {
	return headName(h.Actor), append(binary.AppendUvarint(nil, 1), h.Encode()...) // the number is for versions before
}

func headName(a clock.Actor) string { return headKind + "\x00" + string(a) }

// StoredHeads are those in a store: the last ones that this broker knew of each actor, its own too.
func StoredHeads(scan ledger.Scan) (out []*head.Head, err error) {
	err = ledger.Own(scan, func(name string, value []byte) error {
		if _, n := binary.Uvarint(value); strings.HasPrefix(name, headKind+"\x00") && n > 0 {
			h, err := head.Decode(bytes.Clone(value[n:]))
			if err != nil {
				return err
			}
			out = append(out, h)
		}
		return nil
	})
	return out, err
}

// bound says up to which update an actor's entry in a clock that others tell is believed; ok is false where all of it is, since nothing is
// known of an actor's heads: one of a version that signs nothing. A name that is closed in the roll is bound no more, so that what was lost
// with its heads holds nobody back for good.
func (h *heads) bound(a clock.Actor) (upto uint64, ok bool) {
	name := a.Broker()
	if !h.cfg.Signs || name == h.self {
		return 0, false // of us nobody knows more than we (rule X1)
	}
	if r := h.members.Roll().Get(name); r != nil && !r.Open() {
		return 0, false
	}
	if upto, ok = h.signed[a]; ok {
		return upto, true
	}
	return 0, h.members.SaysItSigns(a)
}

// take takes in heads that are the last ones of their actors, and signed by them. They are stored with what they let the clock take in.
func (h *heads) take(list []*head.Head) {
	for _, x := range list {
		if x.Actor.Broker() == h.self || x.Counter <= h.signed[x.Actor] {
			continue
		}
		h.prune(x.Actor)
		h.signed[x.Actor] = x.Counter
		h.ledger.KeepOwn(storedHead(x))
		if h.ledger.WasCut(x.Actor) {
			h.peers.PullAll() // the entry comes again
		}
	}
}

// keepSigned bounds the starts of one broker of which heads are kept.
const keepSigned = 16

// prune drops the heads of earlier starts of an actor's broker that no clock lists any more: a later one stands for them (rule K2). A member
// may sign as many starts as it likes: of many only the latest are bound.
func (h *heads) prune(later clock.Actor) {
	var starts []clock.Actor
	for a := range h.signed {
		if a != later && a.Broker() == later.Broker() {
			starts = append(starts, a)
		}
	}
	slices.Sort(starts) // as text, starts sort as they do as numbers
	for i, a := range starts {
		if a.Before(later) && clock.Vector(h.ledger.Seen()).Get(a) == 0 || i <= len(starts)-keepSigned {
			delete(h.signed, a)
			h.ledger.KeepOwn(headName(a), nil)
		}
	}
}

// recall takes in what an earlier start has stored.
func (h *heads) recall(a clock.Actor, value []byte) {
	x, err := head.Decode(value)
	switch {
	case err != nil || x.Actor != a, a.Broker() == h.self && clock.Vector(h.ledger.Seen()).Get(a) == 0: // ours go when a later start stands for them
		h.ledger.KeepOwn(headName(a), nil)
	default:
		h.signed[a] = x.Counter
	}
}
