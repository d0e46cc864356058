package broker

import (
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// stakes are the levels that a job has at brokers: within the scope of the emergencies that concern it, and out of it. The zero stakes are
// those of a job that has none anywhere.
type stakes struct {
	d     *decisions
	r     *job.Record
	top   int       // the highest level that it has at a broker that takes it; 0: it has none
	known []levelIn // each set of emergencies that is in force somewhere, once
}

// levelIn is the level that the job has where these are in force.
type levelIn struct {
	set   *emergency.ActiveSet
	level int
}

// stakesOf says what levels a job has where.
func (d *decisions) stakesOf(r *job.Record) *stakes {
	if d.urgency(r) == 0 {
		return &stakes{}
	}
	d.knowPrecedence()
	s := &stakes{d: d, r: r}
	for _, name := range d.takers(r) {
		s.top = max(s.top, s.at(name))
	}
	return s
}

// at is the level that the job has at a broker, by itself, by what is in force there, or since one waits for it (rule C5).
func (s *stakes) at(name string) int {
	if s.d == nil {
		return 0
	}
	set := s.d.jobs.precedence.at(name)
	if !s.d.jobs.isAwaited(s.r.ID) {
		level, _ := set.Level(&s.r.Spec)
		return level
	}
	for _, k := range s.known {
		if k.set.Equal(*set) {
			return k.level
		}
	}
	level, _ := set.Level(&s.r.Spec)
	raised, _ := s.d.raised(s.r, set)
	level = max(level, raised)
	s.known = append(s.known, levelIn{set, level})
	return level
}

// within reports whether the job has the highest of its levels at a broker; none has where it has no level anywhere.
func (s *stakes) within(name string) bool { return s.top > 0 && s.at(name) == s.top }
