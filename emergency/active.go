package emergency

import (
	"cmp"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// ActiveSet holds what is in force for the jobs of one broker: the emergencies that are active
// and whose scope matches its labels, the highest level first. The zero ActiveSet is empty. It is immutable.
type ActiveSet struct{ list []activeEmergency }

// activeEmergency is one emergency of the set, with its conditions parsed, because many jobs are compared
// with it.
type activeEmergency struct {
	id        ID
	name      string // with its life
	terms     Version
	kind      string
	level     int
	selectors []label.Selector // conditions on a job's labels; nil selects no job
}

// NewActiveSet returns the active set of a broker with the given labels at the given time. Among emergencies
// with the same level the earlier one comes first, so that all brokers name the same cause.
func NewActiveSet(all []*Record, labels map[string]string, now clock.Time) ActiveSet {
	var list []*Record
	for _, r := range all {
		if r.Active(now) && r.InScope(labels) {
			list = append(list, r)
		}
	}
	return Anywhere(list)
}

// Anywhere returns the active set that a broker would have in whose labels all these emergencies, which are active, have their
// scope. Of the list nothing is kept.
func Anywhere(active []*Record) ActiveSet {
	list := slices.Clone(active)
	slices.SortFunc(list, func(a, b *Record) int {
		return cmp.Or(cmp.Compare(b.Terms.Level, a.Terms.Level), cmp.Compare(a.Declared, b.Declared), cmp.Compare(a.ID, b.ID))
	})
	var b ActiveSet
	for _, r := range list {
		b.list = append(b.list, activeEmergency{r.ID, r.Name(), r.Version, r.Terms.Type, r.Terms.Level, parseAll(r.Terms.Select)})
	}
	return b
}

// parseAll parses conditions that were validated before.
func parseAll(texts []string) (out []label.Selector) {
	for _, text := range texts {
		if c, err := label.ParseSelector(text); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// InScope reports whether the emergency concerns a broker with the given labels.
func (r *Record) InScope(labels map[string]string) bool {
	return label.Unmet(r.Terms.Scope, labels) == ""
}

// Equal reports whether two active sets give every job the same level.
func (b ActiveSet) Equal(c ActiveSet) bool {
	return slices.EqualFunc(b.list, c.list, func(x, y activeEmergency) bool { return x.id == y.id && x.terms == y.terms })
}

// Empty reports whether no emergency is in force.
func (b ActiveSet) Empty() bool { return len(b.list) == 0 }

// TopLevel returns the highest level in force, from 1 (low) to 4 (critical), or 0 if there is none.
func (b ActiveSet) TopLevel() int {
	if b.Empty() {
		return 0
	}
	return b.list[0].level
}

// Commands returns the first emergency in force of level high or critical whose name (see [Record.Name]) seen says no of, "" when there is none: for
// it the strategy emergency decides (rule E5). It depends on records alone, and on what time it is.
func (b ActiveSet) Commands(seen func(name string) bool) ID {
	for _, r := range b.list {
		if CommandsAt(r.level) && !seen(r.name) {
			return r.id
		}
	}
	return ""
}

// CommandsAt reports whether an emergency of a level makes the strategy emergency decide where it is in force (rule E5): of
// level high or critical.
func CommandsAt(level int) bool { return level >= 3 }

// IDs lists the emergencies in force, the highest level first.
func (b ActiveSet) IDs() (out []ID) {
	for _, r := range b.list {
		out = append(out, r.id)
	}
	return out
}

// Level returns the emergency level of a job, from 0 (none) to 4 (critical). It is the highest of: the level
// that the job's priority names, and the levels of the emergencies in force that the job names by ID or type,
// or that select it by its labels. by is the emergency that gives the level, or "" if the job has it by
// itself.
func (b ActiveSet) Level(s *job.Spec) (level int, by ID) {
	tag := s.Priority.Emergency
	level = max(job.Level(tag), 0)
	for _, r := range b.list {
		if r.level <= level {
			break
		}
		if tag != "" && (tag == string(r.id) || tag == r.kind) || r.selects(s.Labels) {
			return r.level, r.id
		}
	}
	return level, ""
}

// Named returns the first of these emergencies, the one of the highest level, whose ID or type a job names, "" for none.
func (b ActiveSet) Named(tag string) ID {
	for _, r := range b.list {
		if tag != "" && (tag == string(r.id) || tag == r.kind) {
			return r.id
		}
	}
	return ""
}

func (r *activeEmergency) selects(labels map[string]string) bool {
	for _, c := range r.selectors {
		if !c.Holds(labels) {
			return false
		}
	}
	return len(r.selectors) > 0
}
