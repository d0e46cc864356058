package job

import (
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// Filter chooses jobs by their records. All of its conditions must hold; the zero value chooses every job.
type Filter struct {
	States []State          // in one of these states
	Name   string           // with this [Spec.ShownName]; with a "*" at its end, with one that begins so
	Broker string           // placed at this broker, or with an attempt there of which something is known
	Labels []label.Selector // of the spec
	Since  clock.Time       // unfinished, or ended then or later
	Paused bool             // makes room for another job now

	Submitter string // submitted by this member, or holder of a token
}

// Chooses reports whether all conditions hold for a job.
func (f *Filter) Chooses(r *Record) bool {
	switch v := r.Verdict(); {
	case !f.HasState(r.State()):
	case f.Name != "" && !named(r.Spec.ShownName(), f.Name):
	case f.Submitter != "" && r.Spec.Submitter != f.Submitter:
	case f.Broker != "" && !r.wasAt(f.Broker):
	case v != nil && f.Since != 0 && clock.TimeOf(v.At) < f.Since:
	case f.Paused && (v != nil || len(r.Pauses) == 0 || r.Pauses[len(r.Pauses)-1].To != 0):
	default:
		return !slices.ContainsFunc(f.Labels, func(s label.Selector) bool { return !s.Holds(r.Spec.Labels) })
	}
	return false
}

// HasState reports whether a job in this state may be chosen.
func (f *Filter) HasState(s State) bool { return len(f.States) == 0 || slices.Contains(f.States, s) }

func named(name, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return name == pattern
}

// wasAt reports whether the job is placed at a broker, or something is known of an attempt there.
func (r *Record) wasAt(broker string) bool {
	return slices.ContainsFunc(r.Courses(), func(c Course) bool { return c.Executor == broker })
}
