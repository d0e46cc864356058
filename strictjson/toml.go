package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// LinesOfTOML returns the JSON of a TOML document, for [Unmarshal], and on which line each value stands. Dates become text. Errors name the
// line.
func LinesOfTOML(b []byte) ([]byte, Lines, error) {
	if !utf8.Valid(b) {
		return nil, nil, errors.New("it is not UTF-8")
	}
	tree := map[string]any{}
	if err := toml.Unmarshal(b, &tree); err != nil {
		var e *toml.DecodeError
		if errors.As(err, &e) {
			line, _ := e.Position()
			return nil, nil, fmt.Errorf("line %d: %s", line, e.Error()[len("toml: "):])
		}
		return nil, nil, err
	}
	out, err := json.Marshal(tree)
	if err != nil { // an infinite number
		return nil, nil, fmt.Errorf("JSON has nothing for a value: %w", err)
	}
	return out, linesOfTOML(b), nil
}

// linesOfTOML finds the lines of a document that is well formed.
func linesOfTOML(b []byte) Lines {
	l := tomlLines{lines: Lines{"": 1}, starts: startsOf(b), lists: map[jsontext.Pointer]int{}}
	var p unstable.Parser
	p.Reset(b)
	for table := jsontext.Pointer(""); p.NextExpression(); {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = l.table(e)
		case unstable.KeyValue:
			l.pair(table, e)
		}
	}
	return l.lines
}

type tomlLines struct {
	lines  Lines
	starts lineStarts
	lists  map[jsontext.Pointer]int // how many tables a list of tables has so far
}

// note says where a value stands, the first time that it is named.
func (l *tomlLines) note(at jsontext.Pointer, where unstable.Range) {
	if _, known := l.lines[at]; known {
		return
	}
	i, found := slices.BinarySearch(l.starts, int(where.Offset))
	if found {
		i++
	}
	l.lines[at] = i
}

// table returns what the header of a table means.
func (l *tomlLines) table(e *unstable.Node) (at jsontext.Pointer) {
	for keys := e.Key(); keys.Next(); {
		key := keys.Node()
		at = at.AppendToken(string(key.Data))
		l.note(at, key.Raw)
		n, isList := l.lists[at]
		if keys.IsLast() && e.Kind == unstable.ArrayTable {
			n, isList = n+1, true
			l.lists[at] = n
		}
		if isList {
			at = at.AppendToken(index(n - 1))
			l.note(at, key.Raw)
		}
	}
	return at
}

func (l *tomlLines) pair(at jsontext.Pointer, e *unstable.Node) {
	for keys := e.Key(); keys.Next(); {
		at = at.AppendToken(string(keys.Node().Data))
		l.note(at, keys.Node().Raw)
	}
	l.value(at, e.Value())
}

// value notes what is in a list or a table.
func (l *tomlLines) value(at jsontext.Pointer, v *unstable.Node) {
	i := 0
	for all := v.Children(); all.Next(); {
		switch x := all.Node(); {
		case v.Kind == unstable.InlineTable:
			l.pair(at, x)
		case x.Kind != unstable.Comment:
			if x.Raw.Length > 0 {
				l.note(at.AppendToken(index(i)), x.Raw)
			}
			l.value(at.AppendToken(index(i)), x)
			i++
		}
	}
}
