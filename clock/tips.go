package clock

import (
	"slices"
)

// Tips is a clock as it is told, stored and kept: a [Vector] that lists of each broker only the entries that no other one
// implies (rules K1, K2). What it knows only a [Lineage] can say, so that it has none of the methods with which
// vectors are compared: two of one content are Equal, all else is asked there.
type Tips []Dot

// NewTips returns the tips of dots of which none implies another; they may be in any order.
func NewTips(dots ...Dot) Tips { return Tips(NewVector(dots...)) }

// Clone returns a copy that shares no memory with c.
func (c Tips) Clone() Tips { return slices.Clone(c) }

// Equal reports whether two clocks know the same, provided that both are tips by the same rows.
func (c Tips) Equal(other Tips) bool { return slices.Equal(c, other) }

// Of is the part of a clock with the entries of one broker's starts. It shares the clock's memory.
func (c Tips) Of(broker string) Tips {
	// Actors are sorted, so that they stand together.
	i, _ := Vector(c).search(Actor(broker + "~"))
	n := i
	for n < len(c) && len(c[n].Actor) > len(broker) && c[n].Actor[len(broker)] == '~' && c[n].Actor[:len(broker)] == Actor(broker) {
		n++
	}
	return c[i:n:n]
}

// Names counts the brokers that have an entry.
func (c Tips) Names() (n int) {
	last := ""
	for i, d := range c {
		if name := d.Actor.Broker(); i == 0 || name != last {
			last, n = name, n+1
		}
	}
	return n
}

// String returns the clock in the form "{a:3 b:1}".
func (c Tips) String() string { return Vector(c).String() }

// Valid returns an error if a clock from outside is invalid, as [Vector.Valid] does.
func (c Tips) Valid() error { return Vector(c).Valid() }

// MarshalJSON implements json.Marshaler, as [Vector.MarshalJSON] does.
func (c Tips) MarshalJSON() ([]byte, error) { return Vector(c).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler: it parses what MarshalJSON returns.
func (c *Tips) UnmarshalJSON(b []byte) error { return (*Vector)(c).UnmarshalJSON(b) }
