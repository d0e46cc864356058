package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/strictjson"
)

// A new field of a spec or a record must be added in several places (CONTRIBUTING.md). These tests name each place
// that was forgotten.

// fieldOf is one encoded field of a struct, and the way to it from the struct at which the walk began.
type fieldOf struct {
	name   string // such as "job.Priority.User"
	path   string // such as "Spec.Priority.User"
	json   string // such as "spec.priority.user"
	key    string // as json, with the codec's keys
	field  reflect.StructField
	within []int // the index of the field in each struct on the way
}

// owner returns the name of the struct that has the field.
func (f fieldOf) owner() string { return strings.TrimSuffix(f.name, "."+f.field.Name) }

// fieldsOf lists the encoded fields of a struct that are not structs themselves, including those of nested structs,
// which may also be behind pointers or in slices and maps.
func fieldsOf(kind reflect.Type) (out []fieldOf) { return appendFields(nil, kind, fieldOf{}) }

func appendFields(out []fieldOf, kind reflect.Type, at fieldOf) []fieldOf {
	for i := range kind.NumField() {
		f := kind.Field(i)
		if !f.IsExported() || f.Tag.Get("codec") == "-" {
			continue
		}
		form, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		key, _, _ := strings.Cut(f.Tag.Get("codec"), ",")
		below := func(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }
		here := fieldOf{
			name: kind.String() + "." + f.Name, field: f, within: append(slices.Clone(at.within), i),
			path: below(at.path, f.Name), json: below(at.json, form), key: below(at.key, key),
		}
		if f.Type.Kind() != reflect.Struct {
			out = append(out, here)
		}
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			out = appendFields(out, inner, here)
		}
	}
	return out
}

// setField sets one field of a struct with set, and otherwise only what leads to it.
func setField(v reflect.Value, within []int, set func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setField(v.Elem(), within, set)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setField(v.Index(0), within, set)
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		setField(element, within, set)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), element)
	default:
		if field := v.Field(within[0]); len(within) == 1 {
			set(field)
		} else {
			setField(field, within[1:], set)
		}
	}
}

// fillAll sets a value and everything in it to values that are not zero; slices and maps get one element.
func fillAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("codec") != "-" {
				fillAll(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillAll(v.Index(0))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fillAll(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), element)
	default:
		fillOne(v)
	}
}

// eachRecord calls test for each field of a record, with a record in which only that field is set. If test returns
// false, the field is not tested again in another place, and neither are the fields within it.
func eachRecord(test func(f fieldOf, r *Record) (ok bool)) (count int) {
	wrong, within := map[string]bool{}, "-"
	for _, f := range fieldsOf(reflect.TypeFor[Record]()) {
		if count++; strings.HasPrefix(f.path, within) {
			continue
		}
		r := new(Record)
		setField(reflect.ValueOf(r).Elem(), f.within, fillOne)
		trim(r)
		if wrong[f.name] || !test(f, r) {
			wrong[f.name], within = true, f.path+"."
		}
	}
	return count
}

// required lists the fields that are always encoded. All others must have omitempty: a field that is encoded although
// it is empty would change the digests, and with them the keys, of all jobs that exist (rule J3).
var required = []string{
	"job.Spec.Driver", "job.Spec.Preemption", "job.Resources.CPU", "job.Resources.Memory", "job.Priority.User",
}

func TestEveryFieldHasItsTags(t *testing.T) {
	for _, f := range fieldsOf(reflect.TypeFor[Spec]()) {
		name, options, _ := strings.Cut(f.field.Tag.Get("codec"), ",")
		if options != "omitempty" && !slices.Contains(required, f.name) {
			t.Errorf("%s: its codec tag has no omitempty, so that all existing jobs would get other keys (rule J3)", f.name)
		}
		if form, _, _ := strings.Cut(f.field.Tag.Get("json"), ","); form != name {
			t.Errorf("%s: its json tag must have the name %q, as its codec tag has", f.name, name)
		}
	}
	eachRecord(func(f fieldOf, _ *Record) bool {
		name, _, _ := strings.Cut(f.field.Tag.Get("codec"), ",")
		ok := name != "" && name == strings.ToLower(name)
		if !ok {
			t.Errorf("%s: its codec tag has no name in lower case", f.name)
		}
		return ok
	})
}

// missingKeys lists the keys of want, at any depth, that got does not have.
func missingKeys(want, got any, path string) (out []string) {
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for _, key := range sortedKeys(want) {
			below := strings.TrimPrefix(path+"."+key, ".")
			if value, ok := got[key]; !ok {
				out = append(out, below)
			} else {
				out = append(out, missingKeys(want[key], value, below)...)
			}
		}
	case []any:
		got, _ := got.([]any)
		for i := range min(len(want), len(got)) {
			out = append(out, missingKeys(want[i], got[i], path)...)
		}
	}
	return out
}

// A field that append.go does not write would be lost in every record, and is not part of any digest.
func TestEveryFieldIsWrittenFast(t *testing.T) {
	// First all at once: a field without omitempty is in every record, and would make each of the cases below fail.
	full := new(Record)
	fillAll(reflect.ValueOf(full).Elem())
	b, _ := encodeFast(full)
	var want, got any
	require.NoError(t, canon.Decode(canon.Encode(full), &want))
	require.NoError(t, canon.Decode(b, &got))
	missing, named := missingKeys(want, got, ""), map[string]bool{}
	for _, f := range fieldsOf(reflect.TypeFor[Record]()) {
		if slices.Contains(missing, f.key) && !named[f.name] {
			named[f.name] = true
			t.Errorf("%s: append.go does not write it; add it where %s is appended, in the sorted order of the keys", f.name, f.owner())
		}
	}
	if len(missing) > 0 {
		return
	}
	count := eachRecord(func(f fieldOf, r *Record) bool {
		b, ok := encodeFast(r)
		ok = ok && bytes.Equal(canon.Encode(r), b)
		if !ok {
			t.Errorf("%s: append.go does not write it as the codec does; correct it where %s is appended", f.name, f.owner())
		}
		return ok
	})
	require.Greater(t, count, 60)
}

// A field that read.go does not know makes it leave the whole record to the codec, which takes ten times as long.
func TestEveryFieldIsReadFast(t *testing.T) {
	minimal := new(Record)
	trim(minimal)
	if _, _, ok := decodeFast(canon.Encode(minimal)); !ok {
		t.Fatal("job.Record: read.go leaves every record to the codec; it does not read a field without omitempty")
	}
	eachRecord(func(f fieldOf, r *Record) bool {
		b := canon.Encode(r)
		got, _, ok := decodeFast(b)
		ok = ok && bytes.Equal(b, canon.Encode(got))
		if !ok {
			t.Errorf("%s: read.go leaves a record with it to the codec; read it where %s is read, in the sorted order of the keys, or read the field in it that has no omitempty",
				f.name, f.owner())
		}
		return ok
	})
}

// The JSON form of a spec, which the API and the command line use, holds each field.
func TestEveryFieldIsInTheJSON(t *testing.T) {
	for _, f := range fieldsOf(reflect.TypeFor[Spec]()) {
		var want, got Spec
		setField(reflect.ValueOf(&want).Elem(), f.within, fillOne)
		b, err := json.Marshal(&want)
		require.NoError(t, err)
		if err := strictjson.Unmarshal(b, &got); err != nil || !bytes.Equal(canon.Encode(&want), canon.Encode(&got)) {
			t.Errorf("%s: it is lost in JSON (%v); correct its json tag", f.name, err)
		}
	}
}

// unchecked are the fields of a spec that may have any value, each with the reason.
var unchecked = map[string]string{
	"redeploy":           "true and false are both valid",
	"plain_env":          "as redeploy",
	"network":            "as redeploy",
	"outputs_on_failure": "as redeploy",
}

// A field that parse.go does not check reaches brokers and executors with any value that a client invents.
func TestEveryFieldIsChecked(t *testing.T) {
	for _, f := range fieldsOf(reflect.TypeFor[Spec]()) {
		if unchecked[f.json] != "" {
			continue
		}
		s := Spec{Command: "true", Priority: Priority{User: DefaultUser}}
		setField(reflect.ValueOf(&s).Elem(), f.within, spoil)
		err := s.Complete()
		var wrong *FieldError
		if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Field, f.json) {
			t.Errorf("%s: parse.go accepts any value of it (%v); check it, and name the field %q in the error, or list it in unchecked with the reason", f.name, err, f.json)
		}
	}
}

// spoil sets a field to a value that no field should accept.
func spoil(v reflect.Value) {
	const text = "\x00 ~"
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(math.MinInt64)
	case reflect.Int32:
		v.SetInt(math.MinInt32)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		spoil(v.Index(0))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		spoil(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(text), element)
	default:
		fillOne(v)
	}
}

// unmerged are the fields of a record that Merge does not join by themselves, each with the reason.
var unmerged = map[string]string{
	"ID":     "equal: the key holds it",
	"Spec":   "equal: the key holds it",
	"Origin": "that of the earliest creation",
	"Stub":   "none as soon as the spec is known",
}

// A field that merge.go forgets depends on the order of messages: brokers would not agree (rule L2).
func TestEveryFieldIsMerged(t *testing.T) {
	kind := reflect.TypeFor[Record]()
	for i := range kind.NumField() {
		f := kind.Field(i)
		if !f.IsExported() || f.Tag.Get("codec") == "-" || unmerged[f.Name] != "" {
			continue
		}
		a := newRecord(t, creation)
		b := *a
		fillAll(reflect.ValueOf(&b).Elem().Field(i))
		ab, changed := Merge(a, &b)
		if ba := join(&b, a); !changed || !bytes.Equal(canon.Encode(ab), canon.Encode(ba)) {
			t.Errorf("job.Record.%s: merge.go does not merge it; join it in Merge, and say how in its comment, or list it in unmerged with the reason", f.Name)
		}
	}
	// A pause has no dot: all of its fields identify it.
	pause := reflect.TypeFor[Pause]()
	for i := range pause.NumField() {
		var p Pause
		fillAll(reflect.ValueOf(&p).Elem())
		q := p
		reflect.ValueOf(&q).Elem().Field(i).SetZero()
		a, b := newRecord(t, creation), newRecord(t, creation)
		a.Pauses, b.Pauses = []Pause{p}, []Pause{q}
		if !bytes.Equal(canon.Encode(join(a, b)), canon.Encode(join(b, a))) {
			t.Errorf("job.Pause.%s: merge.go takes pauses that differ in it for the same one; compare it in Pause.compare", pause.Field(i).Name)
		}
	}
}

// An executor fetches what Spec.Blobs lists, and a blob that neither Blobs lists is removed (rule L8).
func TestEveryDigestIsAmongTheBlobs(t *testing.T) {
	for _, f := range fieldsOf(reflect.TypeFor[Spec]()) {
		if f.field.Type == reflect.TypeFor[Digest]() {
			s := new(Spec)
			setField(reflect.ValueOf(s).Elem(), f.within, fillOne)
			if len(s.Blobs()) != 1 {
				t.Errorf("%s: Spec.Blobs does not list it", f.name)
			}
		}
	}
	for _, f := range fieldsOf(reflect.TypeFor[Result]()) {
		if f.field.Type == reflect.TypeFor[Digest]() {
			r := new(Result)
			setField(reflect.ValueOf(r).Elem(), f.within, fillOne)
			if len(r.Blobs()) != 1 {
				t.Errorf("job.Result.%s: Result.Blobs does not list it", f.path)
			}
		}
	}
}

// docs/api.md has a row for each field in its table "A job's spec".
func TestEveryFieldIsDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "docs", "api.md"))
	require.NoError(t, err)
	for _, f := range fieldsOf(reflect.TypeFor[Spec]()) {
		if !strings.Contains(string(b), "\n| `"+f.json+"` |") {
			t.Errorf("%s: docs/api.md has no row for `%s` in the table \"A job's spec\"", f.name, f.json)
		}
	}
}
