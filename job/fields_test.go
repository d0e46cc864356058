package job

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// A new field of a spec or a record has several places (CONTRIBUTING.md). These tests name each one
// that was forgotten.

// TestEveryFieldIsReadFast: read.go reads each field of a record, also those of the structs within. One
// that it does not know makes it leave the whole record to the codec, which takes ten times as long.
func TestEveryFieldIsReadFast(t *testing.T) {
	count, turned := 0, ""
	for turn := -1; turn < count; turn++ {
		count, turned = 0, "nothing"
		var r Record
		walk(reflect.ValueOf(&r).Elem(), "job.Record", func(path string, field reflect.Value) bool {
			count++
			fillOne(field) // whatever holds other fields must be there
			if field.Kind() != reflect.Pointer && field.Kind() != reflect.Slice && count-1 != turn {
				field.SetZero()
				return false
			}
			if count-1 == turn {
				turned = path
			}
			return true
		})
		if _, _, ok := decodeFast(canon.Encode(&r)); !ok {
			t.Errorf("%s: read.go leaves a record with it to the codec; read it in the reader of its struct, in the sorted order of the keys", turned)
		}
	}
	require.Greater(t, count, 60)
}

// rare are the fields of a spec that plain.go leaves to encoding/json, each with the reason.
var rare = map[string]string{
	"after":             "dependencies: few submissions have them",
	"after_policy":      "as after",
	"named_outputs":     "not built yet",
	"resources.devices": "counted devices: few submissions ask for them",
	"priority.deadline": "an instant, which RFC 3339 spells in many ways",
}

// TestEveryFieldIsPlainOrRare: plain.go reads each field of a spec, unless it is listed as rare. One that
// it does not know makes every submission with it take the slow path without a word.
func TestEveryFieldIsPlainOrRare(t *testing.T) {
	left := map[string]bool{}
	for name := range rare {
		left[name] = true
	}
	var look func(v reflect.Value, prefix string, wrap func(field string) string)
	look = func(v reflect.Value, prefix string, wrap func(string) string) {
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" || !v.Type().Field(i).IsExported() {
				continue
			}
			if path := prefix + name; rare[path] != "" {
				delete(left, path)
				continue
			}
			if field := v.Field(i); field.Kind() == reflect.Struct {
				look(field, prefix+name+".", func(inner string) string { return wrap(`"` + name + `":{` + inner + `}`) })
				continue
			}
			fresh := reflect.New(v.Type().Field(i).Type).Elem()
			if fillOne(fresh); fresh.Type() == reflect.TypeFor[clock.Duration]() {
				fresh.SetInt(int64(time.Minute))
			}
			value, err := json.Marshal(fresh.Interface())
			require.NoError(t, err)
			text := wrap(`"` + name + `":` + string(value))
			if !parsePlainSpec([]byte("{"+text+"}"), new(Spec)) {
				t.Errorf("job.Spec %s: plain.go leaves {%s} to encoding/json; read it in specField, or list it in rare with the reason", prefix+name, text)
			}
		}
	}
	look(reflect.ValueOf(&Spec{}).Elem(), "", func(s string) string { return s })
	require.Empty(t, left, "listed as rare, but not fields")
}

// TestEveryFieldIsDocumented: docs/design.md has a row for each field in its table "A job's spec".
func TestEveryFieldIsDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "docs", "design.md"))
	require.NoError(t, err)
	var look func(kind reflect.Type, prefix string)
	look = func(kind reflect.Type, prefix string) {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			switch {
			case name == "" || name == "-":
			case kind.Field(i).Type.Kind() == reflect.Struct:
				look(kind.Field(i).Type, prefix+name+".")
			case !strings.Contains(string(b), "\n| `"+prefix+name+"` |"):
				t.Errorf("job.Spec %s: docs/design.md has no row for it in the table \"A job's spec\"", prefix+name)
			}
		}
	}
	look(reflect.TypeFor[Spec](), "")
}
