package clock

import (
	"encoding/binary"
	"hash/fnv"
	"iter"
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

// Changed yields the brokers of which two clocks list other entries, each at least once.
func (c Tips) Changed(other Tips) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, x := range [][2]Tips{{c, other}, {other, c}} {
			for d := range Vector(x[0]).Beyond(Vector(x[1])) {
				if !yield(d.Actor.Broker()) {
					return
				}
			}
		}
	}
}

// Replace gives the clock that has of each broker of which news has an entry the entries of news, and no other one.
func (c Tips) Replace(news Tips) Tips {
	if len(news) == 0 {
		return c
	}
	fresh := map[string]bool{}
	for _, d := range news {
		fresh[d.Actor.Broker()] = true
	}
	out := slices.DeleteFunc(c.Clone(), func(d Dot) bool { return fresh[d.Actor.Broker()] })
	out = append(out, news...)
	slices.SortFunc(out, Dot.Compare)
	return out
}

// Digest is a hash of a clock's entries: clocks with the same digest are taken for equal. It guards against accidents, not
// against forgery.
func (c Tips) Digest() uint64 {
	h := fnv.New64a()
	for _, d := range c {
		_, _ = h.Write([]byte(d.Actor)) // a hash never fails
		_, _ = h.Write(binary.BigEndian.AppendUint64([]byte{0}, d.Counter))
	}
	return h.Sum64()
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
