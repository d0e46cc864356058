package data

import (
	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// Merge returns the join of two copies (rules D1, L2), and whether it holds anything that a does not (rule L6):
//
//  1. Versions: of both, and of each that both have what [Version.join] says; of these the MaxEach latest of each broker, and of
//     all that are left the MaxVersions latest. That is a join, since an order decides that never changes, and since places of
//     removed versions count like others: if they did not, what one copy has dropped would be there again in another after a
//     deletion.
//  2. What one copy lists and the other does not, though its updates cover it, is gone: that one has let go of it, since every member
//     was known to hold its removal ([Record.Trimmed]), or since the bound has dropped it, as it would here. So the older copy of a
//     disk brings nothing back.
//  3. The owner that counts of the two, by an order that never changes (rule D9).
//  4. The join of the registers.
//
// The caller makes sure that the names are equal.
func Merge(a, b *Record) (*Record, bool) {
	m := *a
	var changed, more bool
	m.Register, changed = a.Register.Merge(b.Register)
	m.Versions, more = union(a, b)
	if b.Owned.before(a.Owned) {
		m.Owned, changed = b.Owned, true
	}
	if !changed && !more {
		return a, false
	}
	return &m, true
}

// union joins the versions of two copies, and reports whether the result differs from that of the first one.
func union(x, y *Record) (out []Version, changed bool) {
	a, b := x.Versions, y.Versions
	out = make([]Version, 0, len(a)+len(b))
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch c := order(a, b, i, j); {
		case c < 0 && y.Dots.Has(a[i].Dot):
			i, changed = i+1, true
		case c < 0:
			out = append(out, a[i])
			i++
		case c > 0 && x.Dots.Has(b[j].Dot):
			j++
		case c > 0:
			out = append(out, b[j])
			j, changed = j+1, true
		default:
			v, more := a[i].join(b[j])
			out = append(out, v)
			i, j, changed = i+1, j+1, changed || more
		}
	}
	if !changed {
		return a, false
	}
	if out = bound(out); len(out) == len(a) {
		changed = false
		for i := range out {
			changed = changed || out[i] != a[i]
		}
		if !changed {
			return a, false
		}
	}
	return out, true
}

// order compares the heads of what is left of two lists; the end of one is behind all.
func order(a, b []Version, i, j int) int {
	switch {
	case i == len(a):
		return 1
	case j == len(b):
		return -1
	}
	return a[i].compare(b[j])
}

// bound keeps the MaxEach latest versions of each broker, and of these the MaxVersions latest. The list is sorted, and changed.
func bound(list []Version) []Version {
	if len(list) <= MaxEach {
		return list
	}
	of := map[string]int{}
	kept := list[:0]
	for _, v := range list {
		if name := v.Dot.Actor.Broker(); of[name] < MaxEach && len(kept) < MaxVersions {
			of[name]++
			kept = append(kept, v)
		}
	}
	clear(list[len(kept):])
	return kept
}

// Slots calls yield with each version that an actor has written in updates after one, as it was written, and with the removals
// that are its.
func (r *Record) Slots(by clock.Actor, after uint64, yield func(part string, content []byte)) {
	r.Claims(func(d clock.Dot, part string, content []byte) {
		if d.Actor == by && d.Counter > after {
			yield(part, content)
		}
	})
}

// Claims calls yield with each version that is there, each removal, and whose the name is, which name the update that has written them (rule H3).
func (r *Record) Claims(yield func(d clock.Dot, part string, content []byte)) {
	for _, v := range r.Versions {
		if v.Content != nil {
			yield(v.Dot, "version", r.part(Version{At: v.At, Dot: v.Dot, Content: v.Content}))
		}
		if v.Removed != nil {
			yield(v.Removed.Dot, "removal", r.part(Version{At: v.At, Dot: v.Dot, Removed: v.Removed}))
		}
	}
	if r.Owned != nil {
		yield(r.Owned.Dot, "owner", canon.Encode(&Record{Name: r.Name, Owned: r.Owned}))
	}
}

// part is the canonical bytes of one version of the name, without what others have written of it.
func (r *Record) part(v Version) []byte {
	return canon.Encode(&Record{Name: r.Name, Versions: []Version{v}})
}
