package broker

import (
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// precedence sums up, for each broker, what goes before a job of a level where levels go first: what the unfinished jobs ask for that
// are placed there and have that level or a higher one, and those that run there and can't be stopped (rule J9). A level that a job inherits (rule
// C5) does not count. All of it is derived from the records and from what is in force, when it is first asked for; until that changes, it is kept as records come.
type precedence struct {
	inForce func(broker string) emergency.ActiveSet

	sets map[string]emergency.ActiveSet // what is in force at brokers, as the sums were made; nil while there are none
	sums map[string]*ranked
}

// ranked are sums by level, those of what can't be stopped last.
type ranked [unstoppable + 1]job.Resources

// unstoppable is above every level.
const unstoppable = 5

// at is what is in force at a broker, as the sums are made.
func (p *precedence) at(broker string) *emergency.ActiveSet {
	set, ok := p.sets[broker]
	if !ok {
		set = p.inForce(broker)
		if p.sets != nil {
			p.sets[broker] = set
		}
	}
	return &set
}

// rank is where a placed job counts; 0: nowhere.
func (p *precedence) rank(r *job.Record) int {
	if r.Spec.Preemption == job.Never && r.Started() {
		return unstoppable
	}
	level, _ := p.at(r.Place.Broker).Level(&r.Spec)
	return level
}

// count adds an unfinished job that is placed to the sums, or takes it out.
func (p *precedence) count(r *job.Record, sign int) {
	if p.sets == nil {
		return
	}
	rank := p.rank(r)
	if rank == 0 {
		return
	}
	at := r.Place.Broker
	if p.sums[at] == nil {
		p.sums[at] = &ranked{}
	}
	sum := &p.sums[at][rank]
	if sign > 0 {
		*sum = sum.Plus(r.Spec.Resources)
	} else {
		*sum = sum.Minus(r.Spec.Resources)
	}
}

// forget drops the sums: what is in force has changed.
func (p *precedence) forget() { p.sets, p.sums = nil, nil }

// knowPrecedence makes the sums, unless they are known.
func (c *core) knowPrecedence() {
	p := &c.jobs.precedence
	if p.sets != nil {
		return
	}
	p.sets, p.sums = map[string]emergency.ActiveSet{}, map[string]*ranked{}
	c.liveJobs(func(r *job.Record) bool {
		if !r.Place.IsZero() {
			p.count(r, +1)
		}
		return false
	})
}

// reviewPrecedence drops the sums when a broker has other labels than they were made by, or is unknown by now.
func (c *core) reviewPrecedence() {
	p := &c.jobs.precedence
	for name, set := range p.sets {
		if !p.inForce(name).Equal(set) {
			p.forget()
			return
		}
	}
}

// before is what goes before a job of a level at a broker; the job itself, where it is placed there, does not.
func (c *core) before(broker string, r *job.Record, level int) (sum job.Resources) {
	c.knowPrecedence()
	p := &c.jobs.precedence
	if sums := p.sums[broker]; sums != nil {
		for _, x := range sums[level:] {
			sum = sum.Plus(x)
		}
	}
	if r.Place.Broker == broker && p.rank(r) >= level {
		sum = sum.Minus(r.Spec.Resources)
	}
	return sum
}
