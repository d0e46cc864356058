// Package canon is how records are written down: canonical msgpack, so that equal
// values have equal bytes on every machine, with the fields of a newer broker kept as
// they came (rule L2). Jobs, emergencies and settings share it, and with it the one
// bound on a collection that is still a join: the k smallest by a total order.
//
// The rules that comments cite, such as L2, are defined in docs/protocol.md.
package canon

import (
	"bytes"
	"maps"
	"reflect"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// handle is the canonical encoding: msgpack maps with sorted string keys. Maps in fields
// that this version does not know have string keys too: only they have one order,
// whatever type a newer broker encodes them from.
var handle = newHandle(maxDepth)

// maxDepth bounds how deep the fields of a newer broker may nest, as the codec
// does anyway; a value that was read within it can be sorted within twice that.
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

// Encode returns the canonical bytes of a value, which must hold nothing that msgpack
// can't express: numbers, strings, bytes, lists, maps with string keys, structs of these.
func Encode(v any) []byte {
	var out []byte
	if err := codec.NewEncoderBytes(&out, handle).Encode(v); err != nil {
		panic("canon: encoding " + err.Error()) // a type of ours that can't be
	}
	return out
}

// EncodeNewer is Encode for a value with [Unknown] fields anywhere in it. They are sorted
// in among the others, where a broker that knows them has them: digests, and so the keys
// of jobs, must be equal on both (rules L2, J3). The codec alone appends them in the
// random order of a Go map.
func EncodeNewer(v any) []byte {
	var sorted map[string]any
	if err := codec.NewDecoderBytes(Encode(v), sorting).Decode(&sorted); err != nil {
		panic("canon: sorting " + err.Error()) // it was encoded just now
	}
	return Encode(sorted)
}

// Decode reads a value. The caller has bounded the bytes (rule L11), and validates what
// comes out.
func Decode(b []byte, v any) error { return codec.NewDecoderBytes(b, handle).Decode(v) }

// Unknown holds the fields that this version does not know, by name (rule L2). A struct
// that has a field of this type, without a name in the encoding, keeps them by the two
// methods of codec.MissingFielder, which call Add and return the map.
type Unknown map[string]any

// Add notes a field; it is what CodecMissingField returns.
func (u *Unknown) Add(field []byte, v any) bool {
	if *u == nil {
		*u = Unknown{}
	}
	(*u)[string(field)] = v
	return true
}

// Merge joins two sets of fields: the union, and for one name the greater encoding. What
// it is given is not changed; changed says whether the result differs from u.
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
	if !changed {
		return u, false
	}
	return merged, true
}

// Smallest joins two lists that are sorted and hold nothing twice: the k smallest of both
// (rule L2). What it is given is not changed; changed says whether the result differs from a.
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

// Ascending reports whether a list is sorted, and nothing stands in it twice.
func Ascending[T any](list []T, compare func(T, T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}
