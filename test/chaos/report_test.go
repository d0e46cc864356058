package main

import (
	"flag"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// fields calls f with the name of each field of a report, and with the field so that it can be set.
func fields(r *report, f func(name string, v reflect.Value)) {
	s := reflect.ValueOf(r).Elem()
	for i := range s.NumField() {
		f(s.Type().Field(i).Name, reflect.NewAt(s.Field(i).Type(), unsafe.Pointer(s.Field(i).UnsafeAddr())).Elem())
	}
}

// setSome gives a field something to add up.
func setSome(t *testing.T, name string, v reflect.Value) {
	one := map[reflect.Type]any{
		reflect.TypeFor[string](): "x", reflect.TypeFor[int](): 1, reflect.TypeFor[int64](): int64(1), reflect.TypeFor[uint64](): uint64(1),
		reflect.TypeFor[time.Duration](): time.Second, reflect.TypeFor[gap](): gap{length: time.Second}, reflect.TypeFor[loads](): loads{broker: "b1"},
	}
	value := func(t reflect.Type) reflect.Value { return reflect.ValueOf(one[t]) }
	switch kind := v.Type().Kind(); {
	case one[v.Type()] != nil:
		v.Set(value(v.Type()))
	case kind == reflect.Slice && one[v.Type().Elem()] != nil:
		v.Set(reflect.Append(v, value(v.Type().Elem())))
	case kind == reflect.Map && one[v.Type().Elem()] != nil:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(value(v.Type().Key()), value(v.Type().Elem()))
	default:
		t.Fatalf("setSome cannot fill report.%s, a %v: extend it", name, v.Type())
	}
}

// A field that add forgets would be lost in the sum of all rounds.
func TestSumKeepsEveryField(t *testing.T) {
	sum, one := newReport(), newReport()
	fields(one, func(name string, v reflect.Value) { setSome(t, name, v) })
	sum.add(one)
	fields(sum, func(name string, v reflect.Value) {
		require.False(t, v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0, "report.add forgets the field %s", name)
	})
}

// A list of findings that no check reads would let a round pass that must fail.
func TestEveryFindingFailsTheReport(t *testing.T) {
	notes := []string{"missing", "keysRaced", "onceApart"} // these may happen
	fields(newReport(), func(name string, v reflect.Value) {
		if _, ok := v.Interface().([]string); !ok {
			return
		}
		r := newReport()
		fields(r, func(n string, v reflect.Value) {
			if n == name {
				setSome(t, name, v)
			}
		})
		require.Equal(t, slices.Contains(notes, name), r.good(), "report.%s is in no check, or is a note that fails the report", name)
	})
}

// The command that repeats a round names each flag that was given, but for those that do not change what happens.
func TestAgainNamesEveryFlag(t *testing.T) {
	fs := flag.NewFlagSet("chaos", flag.ContinueOnError)
	o := declare(fs)
	other := map[string]string{
		"brokers": "5", "jobs": "7", "clients": "3", "over": "9s", "settle": "3m", "seed": "42", "faults": "kill", "loopback": "true", "city": "true",
		"sync-interval": "6s", "isolation-delay": "11s", "redeploy-delay": "2s",
	}
	fs.VisitAll(func(x *flag.Flag) {
		value, ok := other[x.Name]
		require.NotEqual(t, ok, slices.Contains(notRepeated, x.Name), "a new flag, -%s: does it change what happens?", x.Name)
		if ok {
			require.NoError(t, fs.Set(x.Name, value))
		}
	})
	again := o.again()
	for name, value := range other {
		require.True(t, strings.Contains(again, "-"+name+" "+value) || strings.Contains(again, "-"+name+"="+value), "again forgets -%s: %s", name, again)
	}
}
