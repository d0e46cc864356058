package broker

import (
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// What brokers will do is foreseen by the function that decides there (package resolve), from what this one knows.

// mostPlanned bounds the jobs of one broker among which it is asked what would happen.
const mostPlanned = 1024

// strategyAt is what decides at a broker, as far as this one knows: also where it is about to hear of an emergency that commands
// another (rule E5).
func (d *decisions) strategyAt(name string) resolve.Strategy {
	if name == d.self {
		return d.strategy()
	}
	row := d.members.Metadata(name)
	s, err := resolve.ParseStrategy(row.Strategy)
	if err != nil {
		s = d.strategy() // of a later version
	}
	if row.Commands != "" {
		return s
	}
	for _, r := range d.emergencies.current {
		if r.InScope(row.Capabilities.Labels) && d.isAboutToObey(&row, r) {
			s, _ = resolve.Commanded(s, string(r.ID))
			return s
		}
	}
	return s
}

// snapshotAt is what competes at a broker where these jobs are placed, and what is in force there.
func (d *decisions) snapshotAt(name string, placed []*job.Record) (resolve.Snapshot, emergency.ActiveSet) {
	if name == d.self {
		return d.snapshot(d.cityNow()), d.emergencies.activeSet
	}
	return d.recordsAt(name, placed)
}

// recordsAt is the same by the records alone: here, too, what is told to stop holds its room until its record says that it has.
func (d *decisions) recordsAt(name string, placed []*job.Record) (s resolve.Snapshot, set emergency.ActiveSet) {
	set = d.emergencies.activeSet
	if name != d.self {
		set = d.emergencies.activeAt(d.members.Metadata(name).Capabilities.Labels)
	}
	s = resolve.Snapshot{Now: d.cityNow(), Strategy: d.strategyAt(name), Weights: d.weights(), Capacity: d.capacity(name)}
	for _, r := range placed {
		c := d.candidateOn(r, &set)
		rep, _ := r.Present()
		switch r.State() {
		case job.StateRunning, job.StateLoading:
			c.Began = clock.TimeOf(rep.At)
			s.Running = append(s.Running, &c)
		case job.StateSuspended:
			s.Suspended = append(s.Suspended, &c)
		default:
			s.Pending = append(s.Pending, &c)
		}
	}
	return s, set
}

// urgency is the level that a job has anywhere: by itself, by an emergency that is in force somewhere, or since one waits for
// it that has (rule C5); 0 for none.
func (d *decisions) urgency(r *job.Record) int {
	if !d.anyUrgent() {
		return 0
	}
	set := &d.emergencies.anywhere
	level, _ := set.Level(&r.Spec)
	if d.jobs.isAwaited(r.ID) {
		raised, _ := d.raised(r, set)
		level = max(level, raised)
	}
	return level
}

// planned is what a broker would do at once: what starts there, and that for which others are stopped first.
func planned(s resolve.Snapshot) (starts, displaces map[string]bool) {
	p := resolve.Plan(s)
	starts, displaces = map[string]bool{}, map[string]bool{}
	for _, key := range slices.Concat(p.Start, p.Resume) {
		starts[key] = true
	}
	for _, v := range p.Preempt {
		displaces[v.For] = true
	}
	return starts, displaces
}
