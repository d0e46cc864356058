package roll

import (
	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/register"
)

// Slots calls yield with what is said of the name, if an actor has said it in an update after one.
func (r *Record) Slots(by clock.Actor, after uint64, yield func(part string, content []byte)) {
	if r.By.Actor == by && r.By.Counter > after {
		c := *r
		c.Register = register.Register{}
		yield("version", canon.Encode(&c))
	}
}

// Claims calls yield with what is said of the name, which names the update that has said so.
func (r *Record) Claims(yield func(d clock.Dot, part string, content []byte)) {
	r.Slots(r.By.Actor, r.By.Counter-1, func(part string, content []byte) { yield(r.By, part, content) })
}
