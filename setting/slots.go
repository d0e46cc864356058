package setting

import (
	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/register"
)

// Slots calls yield with the version, if it is an actor's. What an authority has said is signed by that.
func (s *Setting) Slots(by clock.Actor, _ uint64, yield func(part string, content []byte)) {
	if s.By == by && s.Said == "" {
		c := *s
		c.Register = register.Register{}
		yield("version", canon.Encode(&c))
	}
}
