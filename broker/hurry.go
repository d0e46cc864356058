package broker

import (
	"slices"

	"github.com/urban-compute/ucp/job"
)

// mostAsked is how many other brokers, chosen at random, are asked in one look at urgent jobs where they would start.
const mostAsked = 8

// hurry moves own urgent jobs that wait in vain to where they start at once, since there is room, or others are stopped
// for them: with each round, and soon after what is in force has changed (rule J9). A job moves once a round at most.
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
	others := b.ownership.some(b.obeying(), mostAsked)
	for _, stopping := range []bool{false, true} { // rather where nothing need be stopped
		for _, name := range others {
			late = b.hurryTo(name, placed, late, stopping)
		}
	}
}

// competing lists what has started at each broker, and the urgent jobs that wait there, those of the highest level and the
// earliest first: mostPlanned at most.
func (b *balancer) competing() map[string][]*job.Record {
	d := b.ownership.decisions
	started, urgent := map[string][]*job.Record{}, map[string][]*job.Record{}
	b.liveJobs(func(r *job.Record) bool {
		switch at := r.Place.Broker; {
		case at == "":
		case r.State() != job.StateQueued:
			started[at] = append(started[at], r)
		case d.isUrgent(r):
			urgent[at] = append(urgent[at], r)
		}
		return false
	})
	for at, list := range urgent {
		slices.SortFunc(list, d.moreUrgent)
		started[at] = append(started[at], list[:min(len(list), max(0, mostPlanned-len(started[at])))]...)
	}
	return started
}

// lateOnes lists own urgent jobs that queue where they do not start, others being stopped for them or not: the most urgent first,
// as many as move in one round.
func (b *balancer) lateOnes(placed map[string][]*job.Record) (late []*job.Record) {
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
				late = append(late, r)
			}
		}
	}
	slices.SortFunc(late, d.moreUrgent)
	return late[:min(len(late), balanceMost)]
}

// mayHurry reports whether an own job queues that may be placed elsewhere. One that wants an exclusive key goes where that is.
func (b *balancer) mayHurry(r *job.Record) bool {
	return r.State() == job.StateQueued && b.ours(r.Owner.Actor) && r.Spec.MayRedeploy() && r.Spec.Exclusive == "" && r.Place.NotBefore <= b.cityNow()
}

// obeying lists the live brokers at which the level goes before all else: there it is certain what starts.
func (b *balancer) obeying() (names []string) {
	for _, name := range append(b.members.Names(), b.self) {
		if (name == b.self || b.members.Alive(name) && !b.members.Leaves(name)) && b.ownership.decisions.strategyAt(name).LevelsFirst() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hurryTo places those of the jobs at a broker that start there at once; where others have to be stopped, only if stopping says so. It
// returns the rest.
func (b *balancer) hurryTo(name string, placed map[string][]*job.Record, late []*job.Record, stopping bool) (rest []*job.Record) {
	d := b.ownership.decisions
	if len(placed[name])+len(late) > mostPlanned {
		return late
	}
	s, set := d.recordsAt(name, placed[name])
	for _, r := range late {
		if b.takes(name, r) {
			c := d.candidateOn(r, &set)
			s.Pending = append(s.Pending, &c)
		}
	}
	starts, displaces := planned(s)
	for _, r := range late {
		if !b.takes(name, r) || !starts[r.Key()] && !(stopping && displaces[r.Key()]) {
			rest = append(rest, r)
			continue
		}
		b.stats.Rebalanced++
		b.stats.Hurried++
		b.hurried[r.Key()] = b.now
		b.ownership.placeAt(r, name, b.ownership.processAt(name), r.Place.Try, 0)
		if r = b.record(r.Key()); r != nil {
			placed[name] = append(placed[name], r)
		}
	}
	return rest
}

// takes reports whether a job can be placed at another broker than where it is.
func (b *balancer) takes(name string, r *job.Record) bool {
	if name == r.Place.Broker || b.refusesJob(name, &r.Spec) != "" || len(b.ownership.untried(r, []string{name})) == 0 {
		return false
	}
	return slices.Contains(b.capable(&r.Spec), name)
}
