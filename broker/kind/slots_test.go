package kind

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
)

// unsigned are the fields of records that are in no slot of a head, and why that harms nobody (docs/decisions/0241).
var unsigned = map[string]string{
	"job.Dots":    "they say which updates have come, and clocks are bound by heads already",
	"job.Origin":  "derived: the broker of the earliest creation",
	"job.Stub":    "derived: it is in the key",
	"job.Unknown": "a later version, which knows the field, makes a part of it",

	"job.Spec.MinReplicas": "of a submission, and in no record",

	"setting.Said":      "signed by the authority that has said it (X6)",
	"setting.Created":   "as the dots of a job",
	"setting.Dots":      "as those of a job",
	"setting.Unknown":   "as those of a job",
	"member.Created":    "as the dots of a job",
	"member.Dots":       "as those of a job",
	"member.Unknown":    "as those of a job",
	"data.Created":      "as the dots of a job",
	"data.Dots":         "as those of a job",
	"data.Unknown":      "as those of a job",
	"emergency.Created": "as the dots of a job",
	"emergency.Dots":    "as those of a job",
	"emergency.Unknown": "as those of a job",
}

// writers are the starts that write a record here: two of one broker.
var writers = []clock.Actor{"van~0000000000000001", "van~0000000000000002"}

// filled gives every field of a record a value, as one start of one broker would have written it.
func filled(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				filled(f)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		filled(key)
		if value.Kind() == reflect.Interface {
			value.Set(reflect.ValueOf("x"))
		} else {
			filled(value)
		}
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("van")
		if v.Type() == reflect.TypeFor[clock.Actor]() {
			v.SetString(string(writers[0]))
		}
	default:
		if !changed(v) {
			panic("no value for a " + v.Type().String())
		}
	}
}

// changed gives a field without fields another value, and reports whether it could.
func changed(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[clock.Actor]() {
			v.SetString(string(writers[1]))
			return true
		}
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		switch {
		case v.CanInt():
			v.SetInt(v.Int() + 1)
		case v.CanUint():
			v.SetUint(v.Uint() + 1)
		default:
			return false
		}
	}
	return true
}

// eachField calls yield with every field of a record that has no fields itself, by name, having changed it, and puts it back.
func eachField(v reflect.Value, name string, yield func(name string)) {
	switch v.Kind() {
	case reflect.Pointer:
		eachField(v.Elem(), name, yield)
	case reflect.Struct:
		for i := range v.NumField() {
			switch f := v.Type().Field(i); {
			case f.Anonymous:
				eachField(v.Field(i), name, yield)
			case f.IsExported():
				eachField(v.Field(i), name+"."+f.Name, yield)
			}
		}
	case reflect.Slice:
		eachField(v.Index(0), name, yield)
	case reflect.Map: // what is in it can't be changed in place
		key := v.MapKeys()[0]
		value := v.MapIndex(key)
		other := reflect.New(v.Type().Elem()).Elem() // another value: the zero one
		v.SetMapIndex(key, other)
		yield(name + " (values)")
		v.SetMapIndex(key, reflect.Value{})
		renamed := reflect.New(v.Type().Key()).Elem()
		renamed.Set(key)
		if changed(renamed) {
			v.SetMapIndex(renamed, value)
			yield(name + " (keys)")
			v.SetMapIndex(renamed, reflect.Value{})
		}
		v.SetMapIndex(key, value)
	default:
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		changed(v)
		yield(name)
		v.Set(before)
	}
}

// signedOf is all that heads of its writers would be over, of a record with a key.
func signedOf(kind ledger.Kind, key string, r slotted) string {
	var leaves []string
	for _, by := range writers {
		r.Slots(by, 0, func(part string, content []byte) {
			leaves = append(leaves, fmt.Sprint(head.Slot{Kind: string(kind), Key: key, Part: part, Content: content}.Leaf()))
		})
	}
	slices.Sort(leaves)
	return strings.Join(slices.Compact(leaves), "\n")
}

// Every field of every kind of record is part of a slot of a head, which changes with it, or is listed as one that is in none, with why:
// what is in no slot anybody can write in another's name without that somebody could find out (rule H1).
func TestEveryFieldIsSigned(t *testing.T) {
	// An empty record of each kind, and what its key is made of.
	kinds := map[ledger.Kind]func() (slotted, func(slotted) string){
		Job: func() (slotted, func(slotted) string) {
			return new(job.Record), func(r slotted) string {
				j := r.(*job.Record)
				return job.Key(j.ID, j.Spec.Digest())
			}
		},
		Setting:       func() (slotted, func(slotted) string) { return new(setting.Setting), keyOf },
		Member:        func() (slotted, func(slotted) string) { return new(roll.Record), keyOf },
		Data:          func() (slotted, func(slotted) string) { return new(data.Record), keyOf },
		Emergency:     func() (slotted, func(slotted) string) { return new(emergency.Record), keyOf },
		ledger.Starts: func() (slotted, func(slotted) string) { return new(ledger.Row), keyOf },
	}
	unused := map[string]bool{}
	for name := range unsigned {
		unused[name] = true
	}
	for kind := range Schemas {
		require.Contains(t, kinds, kind, "a new kind of records has slots, too")
	}
	for kind, empty := range kinds {
		r, key := empty()
		v := reflect.ValueOf(r).Elem()
		filled(v)
		if s, ok := r.(*setting.Setting); ok {
			s.Said = ""
		}
		before := signedOf(kind, key(r), r)
		require.NotEmpty(t, before)
		eachField(v, string(kind), func(name string) {
			listed := ""
			for prefix := range unsigned {
				if name == prefix || strings.HasPrefix(name, prefix+".") || strings.HasPrefix(name, prefix+" ") {
					listed = prefix
				}
			}
			delete(unused, listed)
			if listed == "" && signedOf(kind, key(r), r) == before {
				t.Errorf("no slot of a head changes with %s: make it a part (Slots), or list it as one that needs none", name)
			}
		})
		require.Equal(t, before, signedOf(kind, key(r), r), "what was changed was put back")
	}
	require.Empty(t, unused, "listed, and no field of a record")
}

func keyOf(r slotted) string { return r.(ledger.Record).Key() }
