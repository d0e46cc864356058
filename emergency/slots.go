package emergency

import (
	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// Slots calls yield with the terms and the clear, if they are an actor's, and with what can be anybody's: since when, for how long, and in which life.
func (r *Record) Slots(by clock.Actor, _ uint64, yield func(part string, content []byte)) {
	if r.Version.By == by {
		yield("terms", canon.Encode(&Record{ID: r.ID, Terms: r.Terms, Version: r.Version}))
	}
	for _, m := range r.Cleared {
		if m.By == by {
			yield("clear", canon.Encode(&Record{ID: r.ID, Cleared: []Mark{m}}))
		}
	}
	yield("time", canon.Encode(&Record{ID: r.ID, Declared: r.Declared, TTL: r.TTL, Life: r.Life}))
}
