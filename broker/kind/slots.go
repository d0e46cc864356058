package kind

import (
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/ledger"
)

// slotted is a record whose parts can be told apart by their writers.
type slotted interface {
	// Slots calls yield with each part that an actor has written in updates after one, and its canonical bytes, which are
	// yield's only during the call.
	Slots(by clock.Actor, after uint64, yield func(part string, content []byte))
}

// Leaves are the leaves of a head over what a commit has written as an actor (rule H1): those of the parts that the actor has
// written in each record, by kind.
func Leaves(w ledger.Written) (out []head.Hash) {
	for i, ref := range w.Refs {
		if r, ok := w.Records[i].(slotted); ok {
			r.Slots(w.Actor, w.Before, func(part string, content []byte) {
				out = append(out, head.Slot{Kind: string(ref.Kind), Key: ref.Key, Part: part, Content: content}.Leaf())
			})
		}
	}
	return out
}

// claiming is a record with parts that name the update by which they were written.
type claiming interface {
	// Claims calls yield with each of them, and its canonical bytes, which are yield's only during the call.
	Claims(yield func(d clock.Dot, part string, content []byte))
}

// Claim says that an update has written a part of a record.
type Claim struct {
	Dot  clock.Dot
	Part string
	Leaf head.Hash
}

// Claims are what a record says of the updates that have written it (rule H3); none where its kind names none.
func Claims(ref ledger.Ref, r ledger.Record) (out []Claim) {
	if c, ok := r.(claiming); ok {
		c.Claims(func(d clock.Dot, part string, content []byte) {
			out = append(out, Claim{d, part, head.Slot{Kind: string(ref.Kind), Key: ref.Key, Part: part, Content: content}.Leaf()})
		})
	}
	return out
}
