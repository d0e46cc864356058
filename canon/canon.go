// Package canon encodes records as canonical msgpack: equal
// values have equal bytes on every machine, and the fields of a newer broker are kept
// unchanged (rule L2). Jobs, emergencies and settings use it. It also provides the only
// limit of a collection with which merging is still a join: the k smallest elements by a total order.
// Rules cited by number (J3, L2, L6, L11) are in docs/protocol.md.
package canon

import (
	"bytes"
	"maps"
	"reflect"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// handle is the canonical encoding: msgpack maps with sorted string keys. Maps in unknown fields
// must have string keys, too, because only these have the same order
// whatever type a newer broker encodes.
var handle = newHandle(maxDepth)

// maxDepth is how deep the fields of a newer broker may be nested; it is the codec's own limit. A value that
// was decoded with this limit can be sorted with twice the limit.
const maxDepth = 1024

var sorting = newHandle(2 * maxDepth)

func newHandle(depth int16) *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.Canonical = true
	h.WriteExt = true
	h.RawToString = true
	h.MapType = reflect.TypeFor[map[string]any]()
	h.MaxDepth = depth
	return h
}

// Encode returns the canonical encoding of a value, which may consist only of numbers, booleans, strings,
// bytes, lists, maps with string keys, and structs of these. It panics on other types.
func Encode(v any) []byte {
	var out []byte
	if err := codec.NewEncoderBytes(&out, handle).Encode(v); err != nil {
		panic("canon: encoding " + err.Error()) // a type that cannot be encoded: a mistake in this module
	}
	return out
}

// EncodeNewer is Encode for a value with [Unknown] fields anywhere in it. They are sorted
// among the other fields, as by a broker that knows them: digests, and therefore the keys
// of jobs, must be equal on both brokers (rules L2, J3). The codec alone would append them in the
// random order of a Go map.
func EncodeNewer(v any) []byte {
	var sorted map[string]any
	if err := codec.NewDecoderBytes(Encode(v), sorting).Decode(&sorted); err != nil {
		panic("canon: sorting " + err.Error()) // cannot happen: it was just encoded
	}
	return Encode(sorted)
}

// Decode decodes a value into v, a pointer. The caller must have limited the number of bytes (rule L11), and
// must validate the result.
func Decode(b []byte, v any) error { return codec.NewDecoderBytes(b, handle).Decode(v) }

// Unknown holds the fields that this version does not know, by name (rule L2). To keep them, a struct
// needs a field of this type with the tag `codec:"-"`, and the two
// methods of codec.MissingFielder, which call Add and return the map.
type Unknown map[string]any

// Add adds a field. It returns true, as CodecMissingField must.
func (u *Unknown) Add(field []byte, v any) bool {
	if *u == nil {
		*u = Unknown{}
	}
	(*u)[string(field)] = v
	return true
}

// Bounds of the fields that are kept of newer brokers (rule L11). A field may hold a job's result.
const (
	maxFields    = 8        // those with the smallest names
	maxFieldName = 64       // bytes
	maxField     = 17 << 10 // bytes of its encoding

	// MaxUnknown is how many bytes such fields take in a record, however often it was merged.
	MaxUnknown = maxFields * (maxFieldName + maxField + 8)
)

// Bounded is the fields without those that are too large, and of what is left those with the smallest names. A record that comes
// from outside keeps no others: without a bound whoever may write one could make it grow by merging until nobody reads it.
func (u Unknown) Bounded() Unknown {
	small := func(name string) bool { return len(name) <= maxFieldName && len(Encode(u[name])) <= maxField }
	names := slices.Sorted(maps.Keys(u))
	kept := slices.DeleteFunc(names, func(name string) bool { return !small(name) })
	kept = kept[:min(len(kept), maxFields)]
	if len(kept) == len(u) {
		return u
	}
	var out Unknown
	for _, name := range kept {
		if out == nil {
			out = Unknown{}
		}
		out[name] = u[name]
	}
	return out
}

// Merge returns the join of two sets of fields that are [Unknown.Bounded]: their union, and of two values of one field the one with the
// greater encoding; of these the fields with the smallest names. The arguments are not changed; changed says whether the result differs from u.
func (u Unknown) Merge(other Unknown) (merged Unknown, changed bool) {
	if len(other) == 0 {
		return u, false
	}
	merged = maps.Clone(u)
	if merged == nil {
		merged = Unknown{}
	}
	for name, v := range other {
		if old, ok := merged[name]; !ok || bytes.Compare(Encode(v), Encode(old)) > 0 {
			merged[name], changed = v, true
		}
	}
	if changed && len(merged) > maxFields {
		merged = merged.Bounded()
		changed = !bytes.Equal(Encode(merged), Encode(u))
	}
	if !changed {
		return u, false
	}
	return merged, true
}

// Smallest returns the join of two lists that are ascending by compare: the k smallest elements of both
// (rule L2). The arguments are not changed; changed says whether the result differs from a.
func Smallest[T any](a, b []T, compare func(T, T) int, k int) (out []T, changed bool) {
	if len(b) == 0 {
		return a, false
	}
	out = make([]T, 0, min(k, len(a)+len(b)))
	for i, j := 0, 0; len(out) < k && (i < len(a) || j < len(b)); {
		switch {
		case j == len(b):
			out = append(out, a[i])
			i++
		case i == len(a) || compare(b[j], a[i]) < 0:
			out = append(out, b[j])
			j, changed = j+1, true
		case compare(a[i], b[j]) < 0:
			out = append(out, a[i])
			i++
		default:
			out = append(out, a[i])
			i, j = i+1, j+1
		}
	}
	if !changed {
		return a, false
	}
	return out, true
}

// Ascending reports whether a list is sorted and has no equal elements.
func Ascending[T any](list []T, compare func(T, T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}
