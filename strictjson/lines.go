package strictjson

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Lines says where a document of YAML or TOML has what became JSON of it: the line of each value, from 1, by its JSON pointer
// (RFC 6901).
type Lines map[jsontext.Pointer]int

// At returns the line of the value at a path of field names and indices of lists or, where there is none of its own, of what it is in; 0 where
// nothing is known.
func (l Lines) At(path ...string) int {
	var p jsontext.Pointer
	line := l[p]
	for _, name := range path {
		p = p.AppendToken(name)
		if n, ok := l[p]; ok {
			line = n
		}
	}
	return line
}

// lineStarts finds lines by the offsets of bytes.
type lineStarts []int

func startsOf(b []byte) (out lineStarts) {
	at := 0
	for line := range strings.Lines(string(b)) {
		out = append(out, at)
		at += len(line)
	}
	return out
}

// index is how the place of an element of a list is written in a JSON pointer.
func index(i int) string { return strconv.Itoa(i) }
