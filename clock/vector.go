package clock

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Order is the result of [Vector.Compare].
type Order int

// The four possible relations of two vectors.
const (
	Equal      Order = iota // both know the same events
	Before                  // the other one knows all events that this one knows, and more
	After                   // this one knows all events that the other one knows, and more
	Concurrent              // each knows an event that the other one does not know
)

// String returns the order's name in lower case.
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

// Vector is a vector clock: for each actor the counter up to which
// every update is known. It is a slice of dots sorted by actor, with one dot per
// actor and no counter 0; the zero value knows no event. Compare and
// Covers are linear and do not allocate.
//
// Methods with a pointer receiver change the vector in place and may reuse its
// memory; use Clone to share a Vector.
type Vector []Dot

// NewVector returns a vector of the given dots, which may be in any order; of several dots of
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

// Get returns the counter of the actor's entry, or 0 if there is none.
func (v Vector) Get(a Actor) uint64 {
	if i, ok := v.search(a); ok {
		return v[i].Counter
	}
	return 0
}

// Has reports whether the event is known.
func (v Vector) Has(d Dot) bool { return v.Get(d.Actor) >= d.Counter }

// Set raises the actor's entry to the dot; a dot that is not higher changes
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

// Cut lowers the actor's entry below the dot, if it is not below already, so that the vector no longer
// includes this event.
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

// Covers reports whether v knows every event that w knows: w <= v.
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

// Compare returns the relation of v to w: Before means that v happened before w.
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
// changed. It allocates only if w has actors that v does not have.
func (v *Vector) Merge(w Vector) bool {
	missing, changed := v.raise(w)
	if missing == 0 {
		return changed
	}
	// Merge from the end, so that growing once and one pass are enough.
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

// raise raises the entries that both vectors have, and counts the entries of w that v
// does not have.
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

// Beyond yields the dots of v that w does not cover, in the order of the actors. Merging them into w
// makes w cover v.
func (v Vector) Beyond(w Vector) iter.Seq[Dot] {
	return func(yield func(Dot) bool) {
		for _, d := range v {
			if w.Get(d.Actor) < d.Counter && !yield(d) {
				return
			}
		}
	}
}

// String returns the vector in the form "{a:3 b:1}".
func (v Vector) String() string {
	parts := make([]string, len(v))
	for i, d := range v {
		parts[i] = d.String()
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// Valid returns an error if a vector from outside is invalid: if entries are out
// of order, occur twice, or have no actor, a counter of 0 or one above MaxCounter. All other methods require
// a valid vector.
func (v Vector) Valid() error {
	for i, d := range v {
		if d.Actor == "" || d.Counter == 0 {
			return fmt.Errorf("vector clock: entry %d (%v) has no actor or no counter", i, d)
		}
		if d.Counter > MaxCounter {
			return fmt.Errorf("vector clock: the counter of %v is above %d", d, uint64(MaxCounter))
		}
		if i > 0 && v[i-1].Actor >= d.Actor {
			return fmt.Errorf("vector clock: entry %q must not follow %q", d.Actor, v[i-1].Actor)
		}
	}
	return nil
}

// MarshalJSON implements json.Marshaler: the vector becomes an object from actor to counter, sorted by actor.
func (v Vector) MarshalJSON() ([]byte, error) {
	m := make(map[Actor]uint64, len(v))
	for _, d := range v {
		m[d.Actor] = d.Counter
	}
	return json.Marshal(m)
}

// UnmarshalJSON implements json.Unmarshaler: it parses what MarshalJSON returns.
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
