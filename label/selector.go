package label

import (
	"fmt"
	"slices"
	"strings"
)

// Selector is one condition on labels: of a broker (a job's constraint, an emergency's
// scope) or of a job (what an emergency selects). Four forms: `k=v`, `k!=v` (also holds where k is absent), `k in (a,b)`, `k`
// (present, whatever its value).
type Selector struct {
	Key    string
	Op     string   // "=", "!=", "in", "" (present)
	Values []string // one for = and !=, at least one for in, none for present
}

// blanks may stand around the parts of a constraint.
const blanks = "\t\n\f\r "

// ParseSelector reads one selector. An owner does that for every broker that may
// be the place of a job.
func ParseSelector(s string) (Selector, error) {
	text := strings.TrimSpace(s)
	key := text[:nameLength(text)]
	c := Selector{Key: key}
	rest := strings.TrimLeft(text[len(key):], blanks)
	ok := ValidName(key) && len(s) <= 256
	if value, equal := strings.CutPrefix(rest, "="); equal {
		c.Op, c.Values = "=", []string{strings.TrimLeft(value, blanks)}
	} else if value, unequal := strings.CutPrefix(rest, "!="); unequal {
		c.Op, c.Values = "!=", []string{strings.TrimLeft(value, blanks)}
	} else if list, in := strings.CutPrefix(rest, "in"); in { // behind a blank: else it would be of the key
		c.Op = "in"
		list, opened := strings.CutPrefix(strings.TrimLeft(list, blanks), "(")
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
		ok = ok && c.Values[0] != "" && !strings.ContainsAny(c.Values[0], blanks)
	}
	if !ok {
		return Selector{}, fmt.Errorf("constraint %q: write k=v, k!=v, \"k in (a,b)\" or k", s)
	}
	return c, nil
}

// Holds reports whether the selector holds for these labels.
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

// Unmet returns the first of several selectors that does not hold for the labels, "" when
// all hold. One that can't be parsed never holds.
func Unmet(selectors []string, labels map[string]string) string {
	for _, text := range selectors {
		if s, err := ParseSelector(text); err != nil || !s.Holds(labels) {
			return text
		}
	}
	return ""
}
