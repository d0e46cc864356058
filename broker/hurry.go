package broker

import (
	"cmp"
	"slices"

	"github.com/urban-compute/ucp/job"
)

// mostAsked is how many brokers, chosen at random, are asked in one look at urgent jobs where they would start: of those at which one of these
// has a higher level than elsewhere, and as many of the others.
const mostAsked = 8

// hurry moves own urgent jobs that wait in vain to where they start at once, since there is room, or others are stopped
// for them, and otherwise to where they have a higher level: with each round, and soon after what is in force has changed (rule J9). A job moves
// once a round at most.
func (b *balancer) hurry() {
	for key, at := range b.hurried {
		if b.now.Sub(at) >= balanceEvery {
			delete(b.hurried, key)
		}
	}
	d := b.ownership.decisions
	if b.offer.draining || b.waits() == 0 || len(d.emergencies.current) == 0 && b.jobs.tagged == 0 {
		return
	}
	placed := b.competing()
	late := b.lateOnes(placed)
	if len(late) == 0 {
		return
	}
	stakes := map[string]*stakes{}
	for _, u := range late {
		stakes[u.Key()] = d.stakesOf(u.Record)
	}
	asked := b.asked(late, stakes)
	for _, stopping := range []bool{false, true} { // rather where nothing need be stopped
		for _, name := range asked {
			late = b.hurryTo(name, placed, late, stopping)
		}
	}
	for _, u := range late {
		b.drawWithin(u.Record, stakes[u.Key()])
	}
}

// competing lists what has started at each broker, and the urgent jobs that wait there, those of the highest level and the
// earliest first: mostPlanned at most.
func (b *balancer) competing() map[string][]*job.Record {
	placed, urgent := map[string][]*job.Record{}, map[string][]urgentJob{}
	b.liveJobs(func(r *job.Record) bool {
		switch at := r.Place.Broker; {
		case at == "":
		case r.State() != job.StateQueued:
			placed[at] = append(placed[at], r)
		default:
			if level := b.ownership.decisions.urgency(r); level > 0 {
				urgent[at] = append(urgent[at], urgentJob{r, level})
			}
		}
		return false
	})
	for at, list := range urgent {
		slices.SortFunc(list, urgentJob.compare)
		for _, u := range list[:min(len(list), max(0, mostPlanned-len(placed[at])))] {
			placed[at] = append(placed[at], u.Record)
		}
	}
	return placed
}

// urgentJob is a job that has a level.
type urgentJob struct {
	*job.Record
	level int
}

// compare is negative for the job of the higher level, and of equal ones for the earlier one.
func (u urgentJob) compare(v urgentJob) int {
	return cmp.Or(cmp.Compare(v.level, u.level), cmp.Compare(u.Submitted(), v.Submitted()), cmp.Compare(u.Key(), v.Key()))
}

// lateOnes lists own urgent jobs that queue where they do not start, others being stopped for them or not: the most urgent first,
// as many as move in one round.
func (b *balancer) lateOnes(placed map[string][]*job.Record) (late []urgentJob) {
	d := b.ownership.decisions
	for name, list := range placed {
		if len(list) > mostPlanned {
			continue // it runs so many that nothing can be said
		}
		s, _ := d.recordsAt(name, list)
		starts, displaces := planned(s)
		for _, r := range list {
			_, moved := b.hurried[r.Key()]
			if !moved && b.mayHurry(r) && !starts[r.Key()] && !displaces[r.Key()] {
				late = append(late, urgentJob{r, d.urgency(r)})
			}
		}
	}
	slices.SortFunc(late, urgentJob.compare)
	return late[:min(len(late), balanceMost)]
}

// mayHurry reports whether an own job queues that may be placed elsewhere. One that wants an exclusive key goes where that is.
func (b *balancer) mayHurry(r *job.Record) bool {
	return r.State() == job.StateQueued && b.ours(r.Owner.Actor) && r.Spec.MayRedeploy() && r.Spec.Exclusive == "" && r.Place.NotBefore <= b.cityNow()
}

// asked lists the live brokers of which it is certain what starts there: where the level goes before all else, or there is room. Those at which one of
// the jobs has a higher level than elsewhere come first.
func (b *balancer) asked(late []urgentJob, stakes map[string]*stakes) []string {
	var within, others []string
	for _, name := range slices.Sorted(slices.Values(append(b.members.Names(), b.self))) {
		switch {
		case name != b.self && (!b.members.Alive(name) || b.members.Leaves(name)):
		case !b.levelsFirst(name) && !b.fits(name, smallest):
		case slices.ContainsFunc(late, func(u urgentJob) bool { return stakes[u.Key()].within(name) }):
			within = append(within, name)
		default:
			others = append(others, name)
		}
	}
	return slices.Concat(b.ownership.some(within, mostAsked), b.ownership.some(others, mostAsked))
}

// levelsFirst reports whether the level goes before all else at a broker.
func (b *balancer) levelsFirst(name string) bool {
	return b.ownership.decisions.strategyAt(name).LevelsFirst()
}

// hurryTo places those of the jobs at a broker that start there at once; where others have to be stopped, only if stopping says so. It
// returns the rest. Where levels do not go first, what starts depends on all that waits there: that is certain only where there is room for that, too.
func (b *balancer) hurryTo(name string, placed map[string][]*job.Record, late []urgentJob, stopping bool) (rest []urgentJob) {
	d, certain := b.ownership.decisions, b.levelsFirst(name)
	if len(placed[name])+len(late) > mostPlanned || stopping && !certain {
		return late
	}
	s, set := d.recordsAt(name, placed[name])
	for _, u := range late {
		if b.takes(name, u.Record) {
			c := d.candidateOn(u.Record, &set)
			s.Pending = append(s.Pending, &c)
		}
	}
	starts, displaces := planned(s)
	for _, u := range late {
		key := u.Key()
		if !b.takes(name, u.Record) || !starts[key] && !(stopping && displaces[key]) || !certain && !b.fits(name, u.Spec.Resources) {
			rest = append(rest, u)
			continue
		}
		b.stats.Hurried++
		b.send(u.Record, name)
		if r := b.record(key); r != nil {
			placed[name] = append(placed[name], r)
		}
	}
	return rest
}

// drawWithin places a job that starts nowhere at once where it has the highest of its levels, if it has a lower one where it waits, and less
// goes before it there than here. It comes back only to start: what moves a job to wait always raises its level.
func (b *balancer) drawWithin(r *job.Record, s *stakes) {
	o := b.ownership
	if s.top == 0 || s.within(r.Place.Broker) {
		return
	}
	within := slices.DeleteFunc(b.ownership.untried(r, b.takers(r)), func(name string) bool { return !s.within(name) })
	best, to := o.cost(r.Place.Broker, r, s, 0), ""
	for _, name := range o.some(within, mostAsked) {
		if cost := o.cost(name, r, s, 0); cost < best {
			best, to = cost, name
		}
	}
	if to != "" {
		b.stats.Drawn++
		b.send(r, to)
	}
}

// send places an urgent job elsewhere, and lets it wait for a round until it is looked at again.
func (b *balancer) send(r *job.Record, to string) {
	b.stats.Rebalanced++
	b.hurried[r.Key()] = b.now
	b.ownership.placeAt(r, to, b.ownership.processAt(to), r.Place.Try, 0)
}

// takes reports whether a job can be placed at another broker than where it is.
func (b *balancer) takes(name string, r *job.Record) bool {
	if name == r.Place.Broker || b.refusesJob(name, &r.Spec) != "" || len(b.ownership.untried(r, []string{name})) == 0 {
		return false
	}
	return b.isCapable(name, r)
}
