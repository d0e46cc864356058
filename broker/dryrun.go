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
	placed := map[string][]*job.Record{} // by executor
	for _, ref := range b.liveJobs(func(r *job.Record) bool { return r.Place.Broker != "" }) {
		x := b.record(ref.Key)
		placed[x.Place.Broker] = append(placed[x.Place.Broker], x)
	}
	out := &Prospects{NoLevel: b.emergencies.noLevel(in.Spec.Priority.Emergency)}
	s := b.decisions.stakesOf(r)
	for _, name := range append([]string{b.self}, b.members.Names()...) {
		if b.members.Alive(name) {
			out.Brokers = append(out.Brokers, b.prospect(name, r, s, placed[name]))
		}
	}
	slices.SortStableFunc(out.Brokers, func(p, q Prospect) int {
		return cmp.Or(cmp.Compare(len(p.Lacks), len(q.Lacks)), cmp.Compare(p.Cost, q.Cost))
	})
	b.answer(in.Token, out)
}

func (b *Broker) prospect(name string, r *job.Record, s *stakes, placed []*job.Record) Prospect {
	caps := b.cfg.Capabilities
	if name != b.self {
		caps = b.members.Metadata(name).Capabilities
	}
	p := Prospect{Broker: name, Strategy: string(b.decisions.strategyAt(name))}
	without := *r
	without.Spec.Constraints = nil
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
	p.Cost = b.ownership.cost(name, r, s, 0)
	if len(placed) > mostPlanned {
		p.Why = fmt.Sprintf("%d jobs are there: too many to say", len(placed))
		return p
	}
	x, set := b.decisions.snapshotAt(name, placed)
	c := b.decisions.candidateOn(r, &set)
	c.Key, c.ID = dryRunKey, dryRunKey
	p.Score = x.Weights.Score(&c, x.Now).Total
	x.Pending = append(x.Pending, &c)
	d := resolve.Plan(x)
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
