package label

import (
	"fmt"
	"slices"
	"strings"
)

// Selector is one condition on labels: on a broker's (a job's constraint, or an emergency's scope) or on a
// job's (an emergency's selection). It has four forms: `k=v` (as `k==v`, which kubectl takes, too), `k!=v` (which is also met if k is absent), `k
// in (a,b)`, and `k` (k is present, whatever its value).
type Selector struct {
	Key    string
	Op     string   // "=", "!=", "in", or "" for present
	Values []string // one for = and !=, at least one for in, none for present
}

// whitespace may surround the parts of a selector.
const whitespace = "\t\n\f\r "

// ParseSelector parses one selector of at most 256 bytes. It is written by hand because an owner parses a
// job's constraints for every broker that may execute the job.
func ParseSelector(s string) (Selector, error) {
	text := strings.TrimSpace(s)
	key := text[:nameLength(text)]
	c := Selector{Key: key}
	rest := strings.TrimLeft(text[len(key):], whitespace)
	ok := ValidName(key) && len(s) <= 256
	if value, equal := strings.CutPrefix(rest, "="); equal {
		if v, twice := strings.CutPrefix(value, "="); twice && v != "" {
			value = v
		}
		c.Op, c.Values = "=", []string{strings.TrimLeft(value, whitespace)}
	} else if value, unequal := strings.CutPrefix(rest, "!="); unequal {
		c.Op, c.Values = "!=", []string{strings.TrimLeft(value, whitespace)}
	} else if list, in := strings.CutPrefix(rest, "in"); in { // it follows white space, otherwise it would be part of the key
		c.Op = "in"
		list, opened := strings.CutPrefix(strings.TrimLeft(list, whitespace), "(")
		list, closed := strings.CutSuffix(list, ")")
		ok = ok && opened && closed && !strings.ContainsAny(list, "()")
		for v := range strings.SplitSeq(list, ",") {
			if v = strings.TrimSpace(v); v != "" {
				c.Values = append(c.Values, v)
			}
		}
		if ok && len(c.Values) == 0 {
			return Selector{}, fmt.Errorf("constraint %q: the list is empty", s)
		}
	} else {
		ok = ok && rest == ""
	}
	if c.Op == "=" || c.Op == "!=" {
		ok = ok && c.Values[0] != "" && !strings.ContainsAny(c.Values[0], whitespace)
	}
	if !ok {
		return Selector{}, fmt.Errorf("constraint %q: write k=v, k!=v, \"k in (a,b)\" or k", s)
	}
	return c, nil
}

// Holds reports whether the labels meet the selector.
func (c Selector) Holds(labels map[string]string) bool {
	v, ok := labels[c.Key]
	switch c.Op {
	case "=", "in":
		return ok && slices.Contains(c.Values, v)
	case "!=":
		return !ok || v != c.Values[0]
	}
	return ok
}

// Unmet returns the first selector that the labels do not meet, or "" if they meet all.
// A selector that cannot be parsed is never met.
func Unmet(selectors []string, labels map[string]string) string {
	for _, text := range selectors {
		if s, err := ParseSelector(text); err != nil || !s.Holds(labels) {
			return text
		}
	}
	return ""
}
