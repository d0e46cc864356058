package clock

import (
	"cmp"
	"fmt"
	"strings"
)

// Actor identifies a writer: a broker's name and a fresh random suffix for each of
// the broker's starts, "name~xxxxxxxx" (rule I1). Therefore a disk that was wiped or restored from
// a copy never uses one dot for two contents.
type Actor string

// Broker returns the name of the actor's broker: the part before
// the last tilde, or the whole actor if there is none.
func (a Actor) Broker() string {
	if i := strings.LastIndexByte(string(a), '~'); i >= 0 {
		return string(a[:i])
	}
	return string(a)
}

// MaxCounter is the highest counter of an actor, and the highest number of its kind (epochs, sequences): nothing
// counts so far, and a number close to the end of an uint64 that somebody invents would leave no room above it
// (rule X1).
const MaxCounter = 1<<61 - 1

// Following is the number after n. Of the highest it is the same again: a higher one nobody could read, its writer's own next
// start included, and a peer may have written the highest (rule X1).
func Following(n uint64) uint64 { return min(n+1, MaxCounter) }

// Dot identifies one event: the Counter-th update that Actor wrote. Counters start at
// 1; the zero Dot identifies no event.
type Dot struct {
	Actor   Actor  `codec:"a"`
	Counter uint64 `codec:"n"`
}

// String returns the dot as "actor:counter".
func (d Dot) String() string { return fmt.Sprintf("%s:%d", d.Actor, d.Counter) }

// IsZero reports whether this is the zero Dot.
func (d Dot) IsZero() bool { return d == Dot{} }

// Compare orders dots by actor and then by counter, like cmp.Compare. It is a total order for canonical
// encodings and for tie-breaks; it has no causal meaning.
func (d Dot) Compare(e Dot) int {
	if c := cmp.Compare(d.Actor, e.Actor); c != 0 {
		return c
	}
	return cmp.Compare(d.Counter, e.Counter)
}
