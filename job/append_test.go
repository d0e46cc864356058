package job

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// appended is what append.go makes of a value. It fails when a value goes the
// codec's way: the comparison would be one of the codec with itself.
func appended(t require.TestingT, v any) []byte {
	b, ok := encodeFast(v)
	require.True(t, ok, "%T is not encoded by append.go", v)
	return b
}

// kinds lists what append.go encodes: a Record holds all else.
var kinds = []reflect.Type{reflect.TypeFor[Record](), reflect.TypeFor[Spec](), reflect.TypeFor[Result]()}

// TestAppendEqualsCodec: whatever the values of the fields, the bytes are those of the
// codec (rules L2, J3). The generator goes over the structs by reflection, so that
// it fills fields of tomorrow too.
func TestAppendEqualsCodec(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.Name(), rapid.MakeCheck(func(t *rapid.T) {
			v := reflect.New(kind)
			draw(t, v.Elem())
			require.Equal(t, canon.Encode(v.Interface()), appended(t, v.Interface()))
		}))
		t.Run(kind.Name()+"/one field empty", func(t *testing.T) { oneApart(t, kind, true) })
		t.Run(kind.Name()+"/one field filled", func(t *testing.T) { oneApart(t, kind, false) })
	}
}

// oneApart tries the value with all fields full (or all empty), and then with each
// field in turn made the opposite; among full ones at any depth. A field that
// append.go forgets, writes always, or leaves out for another field's sake shows here
// without luck.
func oneApart(t *testing.T, kind reflect.Type, full bool) {
	count, turned := 0, ""
	for turn := -1; turn < count; turn++ {
		count, turned = 0, "nothing"
		v := reflect.New(kind)
		walk(v.Elem(), kind.Name(), func(path string, field reflect.Value) bool {
			count++
			filled := full
			if count-1 == turn {
				turned, filled = path, !full
			}
			if filled {
				fillOne(field)
			}
			return filled
		})
		require.Equal(t, canon.Encode(v.Interface()), appended(t, v.Interface()), "job.%s: append.go encodes it otherwise than the codec; append it in the function of its struct, in the sorted order of the keys", turned)
	}
	require.Greater(t, count, 5)
}

// walk visits the encoded fields of a struct, also those of structs within, and
// goes into what a visit filled.
func walk(v reflect.Value, path string, visit func(path string, field reflect.Value) (filled bool)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if tag := f.Tag.Get("codec"); !f.IsExported() || tag == "-" {
				continue
			}
			name := path + "." + f.Name
			if f.Type.Kind() == reflect.Struct || visit(name, v.Field(i)) {
				walk(v.Field(i), name, visit)
			}
		}
	case reflect.Pointer:
		walk(v.Elem(), path, visit)
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

// fillOne makes a field that is not a struct differ from its zero value; elements of
// slices and what pointers lead to stay zero.
func fillOne(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(-1000)
	case reflect.Uint64:
		v.SetUint(1000)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.Zero(v.Type().Elem()))
	default:
		panic("a field of a kind that this test can't fill yet: " + v.Type().String())
	}
}

// Edges of the size classes of msgpack, and what lies between them.
var (
	lengths = rapid.SampledFrom([]int{0, 1, 2, 3, 7, 31, 32, 33, 255, 256})
	counts  = rapid.SampledFrom([]int{0, 1, 2, 3, 15, 16, 17})
	ints    = rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{
		0, 1, -1, -32, -33, 127, 128, -128, -129, 255, 256, math.MaxInt16, math.MaxInt16 + 1, math.MinInt16, math.MinInt16 - 1,
		math.MaxUint16, math.MaxUint16 + 1, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1,
		math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MinInt64,
	}))
	// mostlySmall keeps what is nested from growing beyond all bounds.
	mostlySmall = rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2, 3, 16})
)

// text draws a string: arbitrary, also no UTF-8, or long.
var text = rapid.OneOf(
	rapid.String(),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }),
	rapid.Map(lengths, func(n int) string { return strings.Repeat("x", n) }),
)

// draw fills a value of any type that a record consists of.
func draw(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("codec") != "-" {
				draw(t, v.Field(i))
			}
		}
	case reflect.String:
		v.SetString(text.Draw(t, "text"))
	case reflect.Int, reflect.Int64:
		v.SetInt(ints.Draw(t, "int"))
	case reflect.Uint64:
		v.SetUint(uint64(ints.Draw(t, "uint")))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem())
		}
	case reflect.Slice:
		drawSlice(t, v)
	case reflect.Map:
		drawMap(t, v)
	default:
		panic("a field of a kind that this test can't draw yet: " + v.Type().String())
	}
}

// drawSlice draws a nil, an empty or a filled slice.
func drawSlice(t *rapid.T, v reflect.Value) {
	n := mostlySmall
	if v.Type().Elem().Kind() == reflect.String {
		n = counts
	}
	if rapid.Bool().Draw(t, "nil") {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n.Draw(t, "count"), 20))
	for i := range v.Len() {
		draw(t, v.Index(i))
	}
}

// drawMap draws a nil, an empty or a filled map.
func drawMap(t *rapid.T, v reflect.Value) {
	if rapid.Bool().Draw(t, "nil") {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for range counts.Draw(t, "count") {
		element := reflect.New(v.Type().Elem()).Elem()
		draw(t, element)
		v.SetMapIndex(reflect.ValueOf(text.Draw(t, "key")), element)
	}
}

// Every size class of strings, arrays, maps and numbers, to its edges.
func TestAppendSizeClasses(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536} {
		s := strings.Repeat("x", n)
		require.Equal(t, canon.Encode(s), appendString(nil, s), "a string of %d bytes", n)

		list := make([]string, n)
		got := appendArrayHeader(nil, n)
		for range n {
			got = appendString(got, "")
		}
		require.Equal(t, canon.Encode(list), got, "a list of %d", n)

		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint(i)] = s[:i%3]
		}
		got = appendMapHeader(nil, n)
		for _, k := range appendKeys(nil, m) {
			got = stringField(got, k, m[k])
		}
		require.Equal(t, canon.Encode(m), got, "a map of %d", n)
	}
	for bit := range 64 {
		for _, near := range []int64{-1, 0, 1} {
			v := int64(1)<<bit + near
			require.Equal(t, canon.Encode(v), appendInt(nil, v), "%d", v)
			require.Equal(t, canon.Encode(-v), appendInt(nil, -v), "%d", -v)
			require.Equal(t, canon.Encode(uint64(v)), appendUint(nil, uint64(v)), "%d", uint64(v))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := ints.Draw(t, "v")
		require.Equal(t, canon.Encode(v), appendInt(nil, v))
		require.Equal(t, canon.Encode(uint64(v)), appendUint(nil, uint64(v)))
	})
}

// What does not fit on the stack, and what has many fields: the long header of its
// map is put in afterwards.
func TestAppendLargeRecord(t *testing.T) {
	r := newRecord(t, creation)
	yes := true
	r.Spec = Spec{
		Driver: Wasm, Module: "m", Command: strings.Repeat("c", 65536), Args: []string{"a"}, Env: map[string]string{"e": "v"}, Stdin: "s",
		Inputs: map[string]string{"i": "d"}, Dirs: []string{"d"}, Outputs: []string{"o"}, NamedOutputs: map[string]string{"n": "o"},
		Exclusive: "x", Labels: map[string]string{"l": "v"}, Constraints: []string{"c"}, Timeout: 1, Redeploy: &yes, After: []ID{"b"},
	}
	require.Equal(t, canon.Encode(r), appended(t, r))
}

// Encodings are kept and may not share memory with each other, nor hold much more
// than they say.
func TestAppendedBytesAreTheirOwn(t *testing.T) {
	r := newRecord(t, creation)
	a := appended(t, r)
	before := string(a)
	s := newRecord(t, Stamp{Dot: clock.Dot{Actor: "b~2", Counter: 9}, At: 99})
	appended(t, s)
	require.Equal(t, before, string(a))
	require.Less(t, cap(a), 2*len(a))
}

// Fields of a newer broker are the codec's business (rule L2).
func TestUnknownFieldsTakeTheCodec(t *testing.T) {
	spec := testSpec(t)
	spec.Unknown = Unknown{"newer": int64(1)}
	_, ok := encodeFast(&spec)
	require.False(t, ok)

	r := newRecord(t, creation)
	r.Spec.Unknown = spec.Unknown
	_, ok = encodeFast(r)
	require.False(t, ok)

	r = newRecord(t, creation)
	r.Unknown = spec.Unknown
	_, ok = encodeFast(r)
	require.False(t, ok)
}

// BenchmarkEncode compares what a broker does (append) with what it would do without
// append.go (codec).
func BenchmarkEncode(b *testing.B) {
	finished := newRecord(b, creation)
	placed(finished)
	says(executor, present, Done)(finished)
	won := finished.Reports[0]
	finished.AddVerdict(Verdict{At: 30, Dot: creation.Dot, Outcome: Succeeded, Report: &won})
	for _, c := range []struct {
		name  string
		value any
	}{{"Submission", newRecord(b, creation)}, {"Finished", finished}, {"Spec", &finished.Spec}, {"Result", won.Result}} {
		for _, way := range []struct {
			name   string
			encode func(any) []byte
		}{{"append", encode}, {"codec", canon.Encode}} {
			b.Run(c.name+"/"+way.name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(way.encode(c.value))))
				for b.Loop() {
					way.encode(c.value)
				}
			})
		}
	}
}
