package emergency

import (
	"cmp"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// ActiveSet is what is in force for the jobs of one broker: the emergencies that are active
// and whose scope holds for its labels, the highest level first. The zero ActiveSet is calm.
type ActiveSet struct{ rules []rule }

// rule is one of them, ready to be asked about many jobs.
type rule struct {
	id     ID
	terms  Version
	kind   string
	level  int
	choose []label.Selector // conditions on a job's labels; nil: none is chosen by them
}

// NewActiveSet makes the active set of a broker with these labels. Of emergencies with one level
// the earlier comes first, so that all brokers name the same cause.
func NewActiveSet(all []*Record, labels map[string]string, now clock.Time) ActiveSet {
	var list []*Record
	for _, r := range all {
		if r.Active(now) && r.InScope(labels) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *Record) int {
		return cmp.Or(cmp.Compare(b.Terms.Level, a.Terms.Level), cmp.Compare(a.Declared, b.Declared), cmp.Compare(a.ID, b.ID))
	})
	var s ActiveSet
	for _, r := range list {
		s.rules = append(s.rules, rule{r.ID, r.Version, r.Terms.Type, r.Terms.Level, parseAll(r.Terms.Select)})
	}
	return s
}

// parseAll reads conditions that were validated.
func parseAll(texts []string) (out []label.Selector) {
	for _, text := range texts {
		if c, err := label.ParseSelector(text); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// InScope reports whether a broker with these labels reacts to the emergency.
func (r *Record) InScope(labels map[string]string) bool {
	return label.Unmet(r.Terms.Scope, labels) == ""
}

// Equal reports whether two sets do the same to every job.
func (s ActiveSet) Equal(other ActiveSet) bool {
	return slices.EqualFunc(s.rules, other.rules, func(x, y rule) bool { return x.id == y.id && x.terms == y.terms })
}

// Calm reports whether nothing is in force.
func (s ActiveSet) Calm() bool { return len(s.rules) == 0 }

// Top is the highest level in force, 0 when nothing is.
func (s ActiveSet) Top() int {
	if s.Calm() {
		return 0
	}
	return s.rules[0].level
}

// IDs lists what is in force, the highest level first.
func (s ActiveSet) IDs() (out []ID) {
	for _, r := range s.rules {
		out = append(out, r.id)
	}
	return out
}

// Level is the emergency level of a job: its own, when its priority names one, or that of
// an emergency in force which it names by ID or type, or which selects it by its labels;
// the highest of these. By is the emergency that gives it, "" when it is its own.
func (s ActiveSet) Level(spec *job.Spec) (level int, by ID) {
	tag := spec.Priority.Emergency
	level = max(job.Level(tag), 0)
	for _, r := range s.rules {
		if r.level <= level {
			break
		}
		if tag != "" && (tag == string(r.id) || tag == r.kind) || r.selects(spec.Labels) {
			return r.level, r.id
		}
	}
	return level, ""
}

func (r *rule) selects(labels map[string]string) bool {
	for _, c := range r.choose {
		if !c.Holds(labels) {
			return false
		}
	}
	return len(r.choose) > 0
}
