package job

import (
	"fmt"
	"slices"
	"strings"
)

// Constraint is one condition on a broker's labels and capabilities. Four
// forms: `k=v`, `k!=v` (also holds where k is absent), `k in (a,b)`, `k`
// (present, whatever its value).
type Constraint struct {
	Key    string
	Op     string   // "=", "!=", "in", "" (present)
	Values []string // one for = and !=, at least one for in, none for present
}

// blanks may stand around the parts of a constraint.
const blanks = "\t\n\f\r "

// ParseConstraint reads one constraint. An owner does that for every broker that may
// be the place of a job.
func ParseConstraint(s string) (Constraint, error) {
	text := strings.TrimSpace(s)
	key := text[:nameLength(text)]
	c := Constraint{Key: key}
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
			return Constraint{}, fmt.Errorf("constraint %q: the list is empty", s)
		}
	} else {
		ok = ok && rest == ""
	}
	if c.Op == "=" || c.Op == "!=" {
		ok = ok && c.Values[0] != "" && !strings.ContainsAny(c.Values[0], blanks)
	}
	if !ok {
		return Constraint{}, fmt.Errorf("constraint %q: write k=v, k!=v, \"k in (a,b)\" or k", s)
	}
	return c, nil
}

// Holds reports whether the constraint holds for these labels.
func (c Constraint) Holds(labels map[string]string) bool {
	v, ok := labels[c.Key]
	switch c.Op {
	case "=", "in":
		return ok && slices.Contains(c.Values, v)
	case "!=":
		return !ok || v != c.Values[0]
	}
	return ok
}

// Unmet returns the first of the spec's constraints that does not hold for the
// labels, "" when all hold. A constraint that can't be parsed never holds.
func (s *Spec) Unmet(labels map[string]string) string {
	for _, text := range s.Constraints {
		c, err := ParseConstraint(text)
		if err != nil || !c.Holds(labels) {
			return text
		}
	}
	return ""
}
