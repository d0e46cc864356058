package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// dryRunKey is the key of the job that is asked about, among those that exist.
const dryRunKey = "dry-run"

// dryRun says for every live broker whether it could run a job, and what would happen
// there if it came now: as far as this broker knows, and without changing anything.
func (b *Broker) dryRun(in DryRun) {
	dot := clock.Dot{Actor: b.cfg.Actor, Counter: b.ledger.Wrote() + 1}
	r := job.New(dryRunKey, in.Spec, in.Spec.Digest(), job.Stamp{Dot: dot, At: max(b.hybrid, b.cityStamp()), Deps: in.Past.Jobs()})
	b.predecessors.foresee(r)
	placed := map[string][]string{} // keys of jobs, by executor
	for _, ref := range b.liveJobs(func(r *job.Record) bool { return r.Place.Broker != "" }) {
		at := b.record(ref.Key).Place.Broker
		placed[at] = append(placed[at], ref.Key)
	}
	out := &Prospects{NoLevel: b.emergencies.noLevel(in.Spec.Priority.Emergency)}
	for _, name := range append([]string{b.self}, b.members.Names()...) {
		if b.members.Alive(name) {
			out.Brokers = append(out.Brokers, b.prospect(name, r, placed[name]))
		}
	}
	slices.SortStableFunc(out.Brokers, func(p, q Prospect) int {
		return cmp.Or(cmp.Compare(len(p.Lacks), len(q.Lacks)), cmp.Compare(p.Cost, q.Cost))
	})
	b.answer(in.Token, out)
}

func (b *Broker) prospect(name string, r *job.Record, placed []string) Prospect {
	caps, strategy := b.cfg.Capabilities, string(b.decisions.strategy())
	if name != b.self {
		row := b.members.Metadata(name)
		caps, strategy = row.Capabilities, row.Strategy
	}
	p := Prospect{Broker: name, Strategy: strategy}
	without := r.Spec
	without.Constraints = nil
	if why := b.incapable(name, &caps, &without); why != "" {
		p.Lacks = append(p.Lacks, why)
	}
	for _, text := range r.Spec.Constraints {
		one := job.Spec{Constraints: []string{text}}
		if one.Unmet(caps.Labels) == "" {
			p.Meets = append(p.Meets, text)
		} else {
			p.Lacks = append(p.Lacks, "constraint "+text)
		}
	}
	if why := b.refusesJob(name, &r.Spec); why != "" {
		p.Lacks = append(p.Lacks, why)
	}
	if why := b.predecessors.unreadable(r.Spec.Data()); why != "" {
		p.Lacks = append(p.Lacks, "what it reads: "+strings.TrimPrefix(why, "it reads "))
	}
	if from, lacks := r.Lacking(); lacks {
		x, _ := b.resolve(string(from.Job))
		p.Lacks = append(p.Lacks, "what it reads: "+strings.TrimPrefix(from.WhyLacking(x), "it reads "))
	}
	if len(p.Lacks) > 0 {
		return p
	}
	p.Cost = b.ownership.cost(name, r, 0)
	if len(placed) > mostPlanned {
		p.Why = fmt.Sprintf("%d jobs are there: too many to say", len(placed))
		return p
	}
	s := b.snapshotOf(name, strategy, placed)
	set := b.emergencies.activeAt(caps.Labels)
	c := b.decisions.candidateOn(r, &set)
	c.Key, c.ID = dryRunKey, dryRunKey
	p.Score = s.Weights.Score(&c, s.Now).Total
	s.Pending = append(s.Pending, &c)
	d := resolve.Plan(s)
	p.Starts = slices.Contains(d.Start, dryRunKey)
	for _, v := range d.Preempt {
		if v.For == dryRunKey {
			p.Yields = append(p.Yields, fmt.Sprintf("%s (%s)", idOf(v.Victim), v.Mode))
		}
	}
	for _, w := range d.Defer {
		if w.Key == dryRunKey {
			p.Why = w.Why
		}
	}
	if why := b.predecessors.whyWaiting(r); why != "" {
		p.Starts, p.Why = false, why
	}
	return p
}

// mostPlanned bounds the jobs of one broker among which it is asked what would happen.
const mostPlanned = 1024

// snapshotOf is what competes at a broker, as far as this one knows.
func (b *Broker) snapshotOf(name, strategy string, placed []string) resolve.Snapshot {
	now := b.cityNow()
	if name == b.self {
		return b.decisions.snapshot(now)
	}
	set := b.emergencies.activeAt(b.members.Metadata(name).Capabilities.Labels)
	s := b.decisions.snapshot(now)
	s.Running, s.Suspended, s.Pending, s.Keys, s.Held = nil, nil, nil, nil, job.Resources{}
	s.Capacity = b.capacity(name)
	if known, err := resolve.ParseStrategy(strategy); err == nil {
		s.Strategy = known
	}
	for _, key := range placed {
		r := b.record(key)
		c := b.decisions.candidateOn(r, &set)
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
	return s
}
