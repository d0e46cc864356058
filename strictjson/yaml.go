package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth is how deep lists and objects may lie in one another. No spec or declaration needs more than four.
const maxDepth = 32

// maxBlank is how many blank lines a document may have. The library's time for them grows with the square of their number:
// 16,000 in a block of text took three seconds.
const maxBlank = 1000

// FromYAML returns the JSON of a YAML document, for [Unmarshal]. Work and memory are bounded by the length of the text:
// anchors, aliases and merge keys, with which a few hundred bytes stand for gigabytes, are errors, and so are tags, a
// second document, and nesting beyond 32. So is what is no UTF-8, or an escape of no character. Numbers and booleans stay the text that was written in the fields named by
// text and all that lies within them: people write `args: [1, yes]` and mean what a shell would. Errors name the line.
func FromYAML(b []byte, text ...string) ([]byte, error) {
	out, _, err := LinesOfYAML(b, text...)
	return out, err
}

// LinesOfYAML is [FromYAML] that says on which line each value stands.
func LinesOfYAML(b []byte, text ...string) ([]byte, Lines, error) {
	c := converter{text: text, lines: Lines{}}
	err := c.document(b)
	return c.out, c.lines, err
}

func (c *converter) document(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("it is not UTF-8")
	}
	if blank(b) > maxBlank {
		return fmt.Errorf("more than %d blank lines", maxBlank)
	}
	if err := checkTokens(lexer.Tokenize(string(b))); err != nil {
		return err
	}
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return oneLine(err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if c.out != nil {
			return wrong(doc.Body.GetToken(), errors.New("a second document; only one is read"))
		}
		if err := c.value(doc.Body, false); err != nil {
			return err
		}
	}
	if c.out == nil {
		return errors.New("it is empty")
	}
	return nil
}

// blank counts lines without anything but spaces.
func blank(b []byte) (n int) {
	empty := true
	for _, c := range b {
		switch c {
		case '\n', '\r':
			if empty {
				n++
			}
			empty = true
		case ' ', '\t':
		default:
			empty = false
		}
	}
	return n
}

// checkTokens refuses, before anything is built of them, tokens that would cost more than their own length.
func checkTokens(tokens token.Tokens) error {
	flow := 0       // brackets and braces that are open
	var block []int // the columns of the blocks that are open, ascending
	for i, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return wrong(t, errors.New("anchors, aliases and merge keys (&, *, <<) are not taken: write the value out"))
		case token.DoubleQuoteType:
			// The library puts U+FFFD for an escape that stands for no character, such as half of a pair of surrogates.
			if strings.ContainsRune(t.Value, utf8.RuneError) {
				return wrong(t, errors.New("an escape that stands for no character, or U+FFFD in double quotes, which can't be told from that"))
			}
		case token.TagType, token.DirectiveType:
			return wrong(t, fmt.Errorf("%.20q: tags and directives are not taken", t.Value))
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		}
		opens := t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType || i+1 < len(tokens) && tokens[i+1].Type == token.MappingValueType
		if column := t.Position.Column; flow <= 0 && opens {
			at, _ := slices.BinarySearch(block, column)
			block = append(block[:at], column)
		}
		if flow+len(block) > maxDepth {
			return wrong(t, fmt.Errorf("lists and objects lie in one another more than %d deep", maxDepth))
		}
	}
	return nil
}

// converter writes a tree of YAML as JSON.
type converter struct {
	text  []string
	out   []byte
	at    jsontext.Pointer // what is written
	lines Lines
}

// value writes one node; scalars as they were written if it is text.
func (c *converter) value(n ast.Node, text bool) error {
	if _, known := c.lines[c.at]; !known { // of a field the line of its name
		c.note(n.GetToken())
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return c.object(n.Values, text)
	case *ast.MappingValueNode: // an object of one field
		return c.object([]*ast.MappingValueNode{n}, text)
	case *ast.SequenceNode:
		c.out = append(c.out, '[')
		for i, v := range n.Values {
			c.comma(i)
			if err := c.within(index(i), func() error { return c.value(v, text) }); err != nil {
				return err
			}
		}
		c.out = append(c.out, ']')
	case *ast.StringNode:
		return c.scalar(n.Value)
	case *ast.LiteralNode:
		return c.scalar(n.Value.Value)
	case *ast.NullNode:
		return c.scalar(nil)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if text {
			return c.scalar(n.GetToken().Value)
		}
		return c.scalar(n.(ast.ScalarNode).GetValue())
	default:
		return wrong(n.GetToken(), errors.New("JSON has nothing for this"))
	}
	return nil
}

func (c *converter) object(pairs []*ast.MappingValueNode, text bool) error {
	c.out = append(c.out, '{')
	for i, p := range pairs {
		c.comma(i)
		key := p.Key.GetToken().Value
		if _, ok := p.Key.(ast.ScalarNode); !ok {
			return wrong(p.Key.GetToken(), errors.New("the name of a field must be a plain word"))
		}
		if err := c.scalar(key); err != nil {
			return err
		}
		c.out = append(c.out, ':')
		err := c.within(key, func() error {
			c.note(p.Key.GetToken())
			return c.value(p.Value, text || slices.Contains(c.text, key))
		})
		if err != nil {
			return err
		}
	}
	c.out = append(c.out, '}')
	return nil
}

// within writes what a field or an element of a list holds.
func (c *converter) within(name string, write func() error) error {
	before := c.at
	c.at = before.AppendToken(name)
	err := write()
	c.at = before
	return err
}

// note says on which line stands what is written.
func (c *converter) note(t *token.Token) {
	if t != nil && t.Position != nil {
		c.lines[c.at] = t.Position.Line
	}
}

func (c *converter) comma(i int) {
	if i > 0 {
		c.out = append(c.out, ',')
	}
}

func (c *converter) scalar(v any) error {
	b, err := json.Marshal(v)
	c.out = append(c.out, b...)
	return err
}

// wrong names the line of an error.
func wrong(t *token.Token, err error) error {
	if t == nil || t.Position == nil {
		return err
	}
	return fmt.Errorf("line %d: %w", t.Position.Line, err)
}

// oneLine leaves out the picture of the text that the library draws.
func oneLine(err error) error {
	var e yaml.Error
	if errors.As(err, &e) {
		return wrong(e.GetToken(), errors.New(e.GetMessage()))
	}
	return err
}
