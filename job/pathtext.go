package job

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A program may give its files names that are not UTF-8, which JSON can't hold: it would put U+FFFD for every such byte,
// and two names might become one. So the name of an output is text, from the executor on: a byte that is no UTF-8 is \xNN,
// with two lower-case hexadecimal digits, and a backslash is \\. All other names are as they are.

// PathText returns the text for a path.
func PathText(path string) string {
	if utf8.ValidString(path) && !strings.Contains(path, `\`) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); {
		r, size := utf8.DecodeRuneInString(path[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, path[i])
		case r == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteString(path[i : i+size])
		}
		i += size
	}
	return b.String()
}

// PathOf returns the path that a text stands for. Only bytes that are no ASCII are read from their digits, so a text
// contains no separator, and no "..", that can't be seen in it. What is no text of PathText stays as it is.
func PathOf(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		high, low := -1, -1
		if len(rest) >= 4 && rest[:2] == `\x` {
			high, low = strings.IndexByte("0123456789abcdef", rest[2]), strings.IndexByte("0123456789abcdef", rest[3])
		}
		switch {
		case high >= 8 && low >= 0:
			b.WriteByte(byte(high<<4 | low))
			i += 3
		case strings.HasPrefix(rest, `\\`):
			b.WriteByte('\\')
			i++
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// CheckText returns an error that names a field of a spec that is not UTF-8. JSON can't hold it, and would
// change it without a word, so it must be refused before the spec is sent.
func (s *Spec) CheckText() error {
	check := func(field string, texts ...string) error {
		for _, t := range texts {
			if !utf8.ValidString(t) {
				return fieldError(field, "%q is not UTF-8, which a spec can't hold; put it into a file of the job", t)
			}
		}
		return nil
	}
	for _, list := range []struct {
		field string
		texts []string
	}{
		{"name", []string{s.Name}}, {"command", []string{s.Command}}, {"args", s.Args}, {"dirs", s.Dirs}, {"outputs", s.Outputs},
		{"constraints", s.Constraints},
	} {
		if err := check(list.field, list.texts...); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		field string
		texts map[string]string
	}{{"env", s.Env}, {"inputs", s.Inputs}, {"labels", s.Labels}, {"secrets", s.Secrets}} {
		for _, k := range sortedKeys(m.texts) {
			if err := check(m.field, k, m.texts[k]); err != nil {
				return err
			}
		}
	}
	return nil
}
