package clock

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Order is the answer of [Vector.Compare].
type Order int

// The four ways in which two vectors can stand to each other.
const (
	Equal      Order = iota // both know the same
	Before                  // the other knows all that this one knows, and more
	After                   // this one knows all that the other knows, and more
	Concurrent              // each knows something that the other does not
)

// String names the order in lower case.
func (o Order) String() string {
	switch o {
	case Equal:
		return "equal"
	case Before:
		return "before"
	case After:
		return "after"
	case Concurrent:
		return "concurrent"
	}
	return fmt.Sprintf("order(%d)", int(o))
}

// Vector is a vector clock: for each actor the highest counter up to which
// every update is known. It is kept as a slice of dots sorted by actor, one for
// each actor, none with counter 0; the zero value knows nothing. Compare and
// Covers are linear passes without allocation.
//
// Methods with a pointer receiver change the vector in place and may reuse its
// memory; whoever shares a Vector hands out a Clone.
type Vector []Dot

// NewVector makes a vector of the given dots in any order; of several dots of
// one actor the highest counts.
func NewVector(dots ...Dot) Vector {
	var v Vector
	for _, d := range dots {
		v.Set(d)
	}
	return v
}

func (v Vector) search(a Actor) (int, bool) {
	return slices.BinarySearchFunc(v, a, func(d Dot, a Actor) int { return strings.Compare(string(d.Actor), string(a)) })
}

// Get returns the counter known for the actor, 0 when nothing is known.
func (v Vector) Get(a Actor) uint64 {
	if i, ok := v.search(a); ok {
		return v[i].Counter
	}
	return 0
}

// Has reports whether the event is known.
func (v Vector) Has(d Dot) bool { return v.Get(d.Actor) >= d.Counter }

// Set raises the actor's entry to the dot; a lower or equal one changes
// nothing. It reports whether the vector changed.
func (v *Vector) Set(d Dot) bool {
	if d.Counter == 0 {
		return false
	}
	i, ok := v.search(d.Actor)
	if !ok {
		*v = slices.Insert(*v, i, d)
		return true
	}
	if (*v)[i].Counter >= d.Counter {
		return false
	}
	(*v)[i].Counter = d.Counter
	return true
}

// Cut lowers the actor's entry below the dot, if it is not there already: what the
// vector then says leaves this event out.
func (v *Vector) Cut(d Dot) {
	i, ok := v.search(d.Actor)
	switch {
	case !ok || (*v)[i].Counter < d.Counter:
	case d.Counter <= 1:
		*v = slices.Delete(*v, i, i+1)
	default:
		(*v)[i].Counter = d.Counter - 1
	}
}

// Next returns the dot of the actor's next event, without recording it.
func (v Vector) Next(a Actor) Dot { return Dot{Actor: a, Counter: v.Get(a) + 1} }

// Covers reports whether everything that w knows is known here: w <= v.
func (v Vector) Covers(w Vector) bool {
	i := 0
	for _, d := range w {
		for i < len(v) && v[i].Actor < d.Actor {
			i++
		}
		if i == len(v) || v[i].Actor != d.Actor || v[i].Counter < d.Counter {
			return false
		}
		i++
	}
	return true
}

// Compare says how v stands to w: Before means that v happened before w.
func (v Vector) Compare(w Vector) Order {
	var less, more bool // w knows more somewhere; v knows more somewhere
	i, j := 0, 0
	for i < len(v) && j < len(w) {
		switch a, b := &v[i], &w[j]; {
		case a.Actor < b.Actor:
			more, i = true, i+1
		case a.Actor > b.Actor:
			less, j = true, j+1
		default:
			less = less || a.Counter < b.Counter
			more = more || a.Counter > b.Counter
			i, j = i+1, j+1
		}
		if less && more {
			return Concurrent
		}
	}
	less = less || j < len(w)
	more = more || i < len(v)
	switch {
	case less && more:
		return Concurrent
	case less:
		return Before
	case more:
		return After
	}
	return Equal
}

// Merge raises v to the least upper bound of v and w, and reports whether v
// changed. It allocates only when w names actors that v does not know.
func (v *Vector) Merge(w Vector) bool {
	missing, changed := v.raise(w)
	if missing == 0 {
		return changed
	}
	// Merge from the back, so that one growth and one pass suffice.
	old := *v
	i, j := len(old)-1, len(w)-1
	out := slices.Grow(old, missing)[:len(old)+missing]
	for k := len(out) - 1; j >= 0; k-- {
		switch {
		case i >= 0 && out[i].Actor > w[j].Actor:
			out[k] = out[i]
			i--
		case i >= 0 && out[i].Actor == w[j].Actor:
			out[k] = out[i]
			i, j = i-1, j-1
		default:
			out[k] = w[j]
			j--
		}
	}
	*v = out
	return true
}

// raise lifts the entries that both vectors have, and counts those of w that v
// lacks.
func (v Vector) raise(w Vector) (missing int, changed bool) {
	i := 0
	for _, d := range w {
		for i < len(v) && v[i].Actor < d.Actor {
			i++
		}
		switch {
		case i == len(v) || v[i].Actor != d.Actor:
			missing++
		case v[i].Counter < d.Counter:
			v[i].Counter = d.Counter
			changed = true
		}
	}
	return missing, changed
}

// Clone returns a copy that shares no memory with v.
func (v Vector) Clone() Vector { return slices.Clone(v) }

// Beyond yields the dots of v that w does not cover: what w would have to
// learn, actor by actor.
func (v Vector) Beyond(w Vector) iter.Seq[Dot] {
	return func(yield func(Dot) bool) {
		for _, d := range v {
			if w.Get(d.Actor) < d.Counter && !yield(d) {
				return
			}
		}
	}
}

// String renders the vector as "{a:3 b:1}".
func (v Vector) String() string {
	parts := make([]string, len(v))
	for i, d := range v {
		parts[i] = d.String()
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// Valid reports what is wrong with a vector that came from outside: entries out
// of order, twice, without an actor or with counter 0. Every other method takes
// a valid vector for granted.
func (v Vector) Valid() error {
	for i, d := range v {
		if d.Actor == "" || d.Counter == 0 {
			return fmt.Errorf("vector clock: entry %d (%v) lacks an actor or a counter", i, d)
		}
		if i > 0 && v[i-1].Actor >= d.Actor {
			return fmt.Errorf("vector clock: entry %q is not behind %q", d.Actor, v[i-1].Actor)
		}
	}
	return nil
}

// MarshalJSON renders the vector as an object from actor to counter, sorted.
func (v Vector) MarshalJSON() ([]byte, error) {
	m := make(map[Actor]uint64, len(v))
	for _, d := range v {
		m[d.Actor] = d.Counter
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Vector) UnmarshalJSON(b []byte) error {
	var m map[Actor]uint64
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*v = (*v)[:0]
	for a, n := range m {
		v.Set(Dot{a, n})
	}
	return nil
}
