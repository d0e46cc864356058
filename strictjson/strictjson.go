// Package strictjson reads JSON that people and programs outside wrote: specs of jobs, declarations of emergencies,
// bundles. What encoding/json would change or drop without a word is an error here: an unknown field, a field that
// occurs twice or in other letters ("Command"), bytes that are not UTF-8, and half of a UTF-16 surrogate pair
// ("\ud800"), which would become U+FFFD. RFC 7493 (I-JSON) forbids the last three.
package strictjson

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Unmarshal decodes one JSON value, and nothing after it, into what v points to. Its errors are for the one who wrote
// the JSON: they name the field by its path, such as resources.cpu, and no type of Go. Any goroutine may call it.
func Unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v, json.RejectUnknownMembers(true))
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		return meaning(semantic)
	case errors.As(err, &syntactic):
		return syntax(syntactic)
	}
	return err
}

// CheckText is an error when a JSON value has text that JSON can't hold: bytes that are not UTF-8, and half of a UTF-16 surrogate
// pair, which encoding/json would change. It is for what is decoded leniently otherwise. Any goroutine may call it.
func CheckText(b []byte) error {
	var syntactic *jsontext.SyntacticError
	err := json.Unmarshal(b, new(jsontext.Value), jsontext.AllowDuplicateNames(true))
	if errors.As(err, &syntactic) {
		return syntax(syntactic)
	}
	return err
}

// Marshal is encoding/json's, but for text that is not UTF-8, which that would change without a word: it is an error.
// Any goroutine may call it.
func Marshal(v any) ([]byte, error) {
	return json.Marshal(v, jsonv1.DefaultOptionsV1(), jsontext.AllowInvalidUTF8(false))
}

// meaning says what is wrong with a value that is JSON, but not what is wanted.
func meaning(e *json.SemanticError) error {
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return fmt.Errorf("unknown field %q%s", e.JSONPointer.LastToken(), within(e.JSONPointer.Parent()))
	case e.JSONValue == nil && e.Err != nil: // of an UnmarshalJSON of ours
		return fmt.Errorf("%s%w", at(e.JSONPointer), e.Err)
	}
	return fmt.Errorf("%sit must be %s, not %s", at(e.JSONPointer), wanted(e.GoType), got(e))
}

// syntax says what is no JSON, or no I-JSON.
func syntax(e *jsontext.SyntacticError) error {
	switch {
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return fmt.Errorf("the field %q occurs twice%s", e.JSONPointer.LastToken(), within(e.JSONPointer.Parent()))
	case e.ByteOffset == 0 && strings.Contains(e.Err.Error(), "EOF"):
		return errors.New("it is empty")
	case strings.Contains(e.Err.Error(), "after top-level value"):
		return errors.New("something follows the JSON value")
	}
	return fmt.Errorf("%s%w, at byte %d", at(e.JSONPointer), e.Err, e.ByteOffset)
}

// path returns how people write a field of a field: resources.cpu for /resources/cpu.
func path(p jsontext.Pointer) string {
	var names []string
	for name := range p.Tokens() {
		names = append(names, name)
	}
	return strings.Join(names, ".")
}

func at(p jsontext.Pointer) string {
	if p == "" {
		return ""
	}
	return path(p) + ": "
}

func within(p jsontext.Pointer) string {
	if p == "" {
		return ""
	}
	return " in " + path(p)
}

// wanted returns what JSON a field of type t takes.
func wanted(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer that is not negative"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Pointer:
		return wanted(t.Elem())
	}
	return "an object"
}

// got returns what JSON was there instead.
func got(e *json.SemanticError) string {
	switch {
	case len(e.JSONValue) > 40:
		return string(e.JSONValue[:40]) + "..."
	case e.JSONValue != nil:
		return string(e.JSONValue)
	case e.JSONKind == 't', e.JSONKind == 'f':
		return "a boolean"
	case e.JSONKind == '[':
		return "a list"
	case e.JSONKind == '{':
		return "an object"
	}
	return "a " + e.JSONKind.String()
}
