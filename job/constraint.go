package job

import (
	"fmt"
	"regexp"
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

var constraintForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*(?:(!=|=)\s*(\S+)|\s+in\s*\(([^()]*)\))?$`)

// ParseConstraint reads one constraint.
func ParseConstraint(s string) (Constraint, error) {
	m := constraintForm.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil || len(s) > 256 {
		return Constraint{}, fmt.Errorf("constraint %q: write k=v, k!=v, \"k in (a,b)\" or k", s)
	}
	c := Constraint{Key: m[1]}
	switch {
	case m[2] != "":
		c.Op, c.Values = m[2], []string{m[3]}
	case strings.HasSuffix(strings.TrimSpace(s), ")"):
		c.Op = "in"
		for v := range strings.SplitSeq(m[4], ",") {
			if v = strings.TrimSpace(v); v != "" {
				c.Values = append(c.Values, v)
			}
		}
		if len(c.Values) == 0 {
			return Constraint{}, fmt.Errorf("constraint %q: the list is empty", s)
		}
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
