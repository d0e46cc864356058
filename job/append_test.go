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

// appended returns what append.go makes of a value. It fails if the value is left to the
// codec, because the codec would be compared with itself then.
func appended(t require.TestingT, v any) []byte {
	b, ok := encodeFast(v)
	require.True(t, ok, "%T is not encoded by append.go", v)
	return b
}

// kinds lists the types that append.go encodes; a Record contains all others.
var kinds = []reflect.Type{reflect.TypeFor[Record](), reflect.TypeFor[Spec](), reflect.TypeFor[Result]()}

// TestAppendEqualsCodec checks that the bytes are those of the codec, whatever the values of the fields
// (rules L2, J3). The generator uses reflection, so it also fills fields that are added later.
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

// oneApart tries a value with all fields filled (or all empty), and then with one field after the other
// reversed, at any depth if they are filled. So a field that
// append.go forgets, always writes, or omits because of another field is certainly found.
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

// walk visits the encoded fields of a struct, including those of nested structs, and
// descends into the fields that a visit has filled.
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

// fillOne sets a field that is not a struct to a value that is not zero. Elements of
// slices and targets of pointers stay zero.
func fillOne(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int32, reflect.Int64:
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

// The limits of msgpack's size classes, and values between them.
var (
	lengths = rapid.SampledFrom([]int{0, 1, 2, 3, 7, 31, 32, 33, 255, 256})
	counts  = rapid.SampledFrom([]int{0, 1, 2, 3, 15, 16, 17})
	ints    = rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{
		0, 1, -1, -32, -33, 127, 128, -128, -129, 255, 256, math.MaxInt16, math.MaxInt16 + 1, math.MinInt16, math.MinInt16 - 1,
		math.MaxUint16, math.MaxUint16 + 1, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1,
		math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MinInt64,
	}))
	// mostlySmall limits the size of nested values.
	mostlySmall = rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2, 3, 16})
)

// text draws a string, which may be long or invalid UTF-8.
var text = rapid.OneOf(
	rapid.String(),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }),
	rapid.Map(lengths, func(n int) string { return strings.Repeat("x", n) }),
)

// draw fills a value of any type that occurs in a record.
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
	case reflect.Int, reflect.Int32, reflect.Int64:
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

// This tests the limits of each size class of strings, arrays, maps and numbers.
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

// This record does not fit on the stack, and its spec has so many fields that the longer header of its
// map is inserted afterwards.
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

// Encodings are kept, so they must not share memory with each other, nor use much more
// memory than necessary.
func TestAppendedBytesAreTheirOwn(t *testing.T) {
	r := newRecord(t, creation)
	a := appended(t, r)
	before := string(a)
	s := newRecord(t, Stamp{Dot: clock.Dot{Actor: "b~2", Counter: 9}, At: 99})
	appended(t, s)
	require.Equal(t, before, string(a))
	require.Less(t, cap(a), 2*len(a))
}

// Values with fields of a newer broker are left to the codec (rule L2).
func TestUnknownFieldsTakeTheCodec(t *testing.T) {
	spec := testSpec(t)
	spec.Unknown = canon.Unknown{"newer": int64(1)}
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
