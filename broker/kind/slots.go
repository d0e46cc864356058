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
