package clock

import (
	"cmp"
	"fmt"
	"strings"
)

// Actor is who writes: a broker's name and a fresh random suffix for each of
// its starts, "name~xxxxxxxx" (rule I1). A disk that was wiped or rolled back
// can then never use a dot for two contents.
type Actor string

// Broker returns the name of the broker behind the actor: what stands before
// the last tilde, or the whole actor where there is none.
func (a Actor) Broker() string {
	if i := strings.LastIndexByte(string(a), '~'); i >= 0 {
		return string(a[:i])
	}
	return string(a)
}

// Dot is one event: the Counter-th update that Actor wrote. Counters start at
// 1; the zero Dot names no event.
type Dot struct {
	Actor   Actor  `codec:"a"`
	Counter uint64 `codec:"n"`
}

// String renders the dot as "actor:counter".
func (d Dot) String() string { return fmt.Sprintf("%s:%d", d.Actor, d.Counter) }

// IsZero reports whether the dot names no event.
func (d Dot) IsZero() bool { return d == Dot{} }

// Compare orders dots by actor, then counter: a total order for canonical
// encodings and for tie-breaks that have no causal meaning.
func (d Dot) Compare(e Dot) int {
	if c := cmp.Compare(d.Actor, e.Actor); c != 0 {
		return c
	}
	return cmp.Compare(d.Counter, e.Counter)
}
