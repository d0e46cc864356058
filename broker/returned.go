package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// An attempt that its executor could not carry out is returned (rule J12). The executor says so in the job's record, and
// withdraws its offer until a probe shows that it can; the owner places the job elsewhere.

// returned takes in that this broker could not carry out an attempt.
func (a *attempts) returned(in Reported, x *run) {
	delete(a.runs, in.Key)
	a.reviews.later(in.Key)
	a.stats.Returned++
	if !in.Result.Permanent { // otherwise it lacks what this one job wants, and can do others
		a.withdraw(in.Result.Reason)
	}
	if r := a.record(in.Key); r == nil || r.Finished() {
		return
	}
	res := job.Result{Outcome: job.Failed, Reason: in.Result.Reason, Started: in.Result.Started, Finished: in.Result.Finished}
	if n := job.MaxReason; len(res.Reason) > n {
		res.Reason = res.Reason[:n]
	}
	a.sayReturned(in.Key, x.as, &res, in.Began, in.Result.Permanent)
}

func (a *attempts) sayReturned(key string, as job.Attempt, res *job.Result, began, never bool) {
	a.reportWith(key, as, job.Done, res, func(r *job.Record) {
		r.AddReturn(job.Return{Attempt: as, By: a.process(), At: a.stamp(), Reason: res.Reason, Began: began, Never: never})
	})
}

// goesBack reports whether this broker gives a job back that must run once only, if it has not begun: it leaves, or it is drained
// and another can take the job. Otherwise a drained one keeps it, unstarted: whoever has taken its owner's place could only
// fail it (rules J8, M5).
func (a *attempts) goesBack(r *job.Record) bool {
	switch {
	case r.Spec.MayRedeploy():
		return false
	case a.offer.draining || !a.drained(a.self):
		return a.offer.draining
	case a.leavesDrained(r, a.self):
		return true
	}
	a.reviews.at(a.now.Add(drainRetry), r.Key())
	return false
}

// ownerMayPlace reports whether a job's owner can place it elsewhere that must run once only and was returned: it has placed it
// itself, or who did has handed it over (rule J8).
func ownerMayPlace(r *job.Record) bool {
	placed := r.Place.Attempt.Tenure
	return r.Owner.Tenure == placed || handedOver(r, placed.Epoch)
}

// leavesDrained reports whether what waits at a drained broker can go elsewhere. What must not run twice goes only if its owner is
// there to place it again.
func (c *core) leavesDrained(r *job.Record, from string) bool {
	if !r.Spec.MayRedeploy() {
		m, here := c.members.Get(r.Owner.Broker), c.ours(r.Owner.Actor)
		if !ownerMayPlace(r) || !here && (m.Status != membership.Alive || !m.Runs(r.Owner.Actor)) {
			return false
		}
	}
	return c.taker(r, from)
}

// giveBack returns, as this broker leaves or is drained, an attempt of a job that must run once only, if it has not begun: nobody
// else can know that, and others would take it for one that may have run (rule J8).
func (a *attempts) giveBack(r *job.Record) {
	x := a.runs[r.Key()]
	if x != nil && x.started || a.reportedEnd(r) || a.hasStarted(r) || a.suspect(r) {
		return
	}
	if x != nil {
		a.drop(r.Key(), x)
	}
	delete(a.cautious, r.Key())
	now, why := a.cityNow(), "it leaves"
	if !a.offer.draining {
		why = "it is drained"
	}
	a.sayReturned(r.Key(), r.Place.Attempt, &job.Result{Outcome: job.Failed, Reason: why, Started: now, Finished: now}, false, false)
}

// hasStarted reports whether this process has said that it was told to run the present attempt, which may be stopped by now. Of a job
// that may run again it may only have said that it waits.
func (a *attempts) hasStarted(r *job.Record) bool {
	rep, ok := r.Present()
	return ok && a.ours(rep.Dot.Actor)
}

// withdraw takes this broker's offer back, and asks for a probe.
func (c *core) withdraw(why string) {
	if c.offer.withdrawn != "" {
		return
	}
	if why == "" {
		why = "it could not carry out a job"
	}
	c.offer.withdrawn = why[:min(len(why), job.MaxReason)]
	c.stats.Withdrawn++
	c.out.Probe = true
	c.reviewWhere(func(r *job.Record) bool { return r.Owner.Broker == c.self && r.Place.Broker == c.self })
}

// recover offers this broker again.
func (c *core) recover() {
	c.offer.withdrawn = ""
	c.reviewMembers()
}

// refuses says why a broker takes no jobs for now, whatever it is capable of; "" when it does.
func (c *core) refuses(name string) string {
	draining, full, withdrawn := c.offer.draining, c.offer.full, c.offer.withdrawn
	if name != c.self {
		said := c.members.Metadata(name)
		draining, full, withdrawn = c.members.Leaves(name), said.NoRoom(), said.Withdrawn
	}
	switch {
	case draining:
		return "it is about to leave"
	case c.drained(name):
		return "it is drained"
	case full:
		return "room on its disk"
	case withdrawn != "":
		return "its offer, which it has withdrawn: " + withdrawn
	}
	return ""
}

// refusesJob says why a broker does not take a job for now that it is capable of. A job that says how much disk it writes is
// placed where there is so much; for others that is only a limit.
func (c *core) refusesJob(name string, s *job.Spec) string {
	if why := c.refuses(name); why != "" {
		return why
	}
	if free := c.freeDisk(name); free > 0 && s.Disk > free {
		return fmt.Sprintf("%d MiB of disk", s.Disk>>20)
	}
	return ""
}

// placeElsewhere finds another place for a job whose attempt was returned (rule J12): at once at a broker that has not
// returned it, otherwise after a pause. It ends a job that was returned too often, that nobody can carry out, or that
// may have run and must not twice: also one that another owner has placed, or an earlier start of this one, unless that has handed it
// over (rule J8).
func (o *ownership) placeElsewhere(r *job.Record, back job.Return) {
	who := back.By.Broker()
	switch {
	case back.Began && !r.Spec.MayRedeploy():
		o.decide(r.Key(), job.Failed, fmt.Sprintf("%s could not go on with it (%s): it may have run, and redeploy is false", who, back.Reason), nil)
		return
	case !ownerMayPlace(r) && !r.Spec.MayRedeploy(): // whoever placed it may have placed it again
		o.decide(r.Key(), job.Failed, "its owner was lost after "+who+" had returned it: it may have run, and redeploy is false", nil)
		return
	case len(r.Returns) >= job.MaxReturns:
		o.decide(r.Key(), job.Failed, fmt.Sprintf("returned %d times, the last time by %s: %s", len(r.Returns), who, back.Reason), nil)
		return
	}
	name, actor, ok := o.choose(r, 0)
	if !ok {
		if able := o.capable(r); back.Never && len(able) > 0 && len(o.untried(r, able)) == 0 && len(o.unasked(r)) == 0 {
			o.decide(r.Key(), job.Failed, back.Reason, nil) // whoever could take it has said so, also those that take none for now
		}
		return // until somebody else can, or is given up (rule M2)
	}
	var after clock.Time
	if hasReturned(r, actor) {
		after = clock.At(o.cityTime().Add(returnPause(r)))
	}
	o.stats.Elsewhere++
	o.placeAt(r, name, actor, r.Place.Try, after)
}

// unasked lists the members that are away, or have yet to say what they are, and that may be able to carry out a job: by what they
// said last, if they did, and unless they have returned it for good.
func (o *ownership) unasked(r *job.Record) (names []string) {
	for _, name := range o.members.Counted() {
		m, row := o.members.Get(name), o.members.Metadata(name)
		asked := m.Status == membership.Alive && row.Actor == m.Actor
		never := slices.ContainsFunc(r.Returns, func(x job.Return) bool { return x.Never && x.By.Broker() == name })
		if !asked && !never && (row.Name == "" || o.incapable(name, &row.Capabilities, r) == "") {
			names = append(names, name)
		}
	}
	return names
}

// returnPause is the pause before a broker that has returned a job tries it again: it doubles with each return.
func returnPause(r *job.Record) time.Duration {
	return min(time.Second<<len(r.Returns), time.Minute)
}

func hasReturned(r *job.Record, a clock.Actor) bool {
	return slices.ContainsFunc(r.Returns, func(x job.Return) bool { return x.By == a })
}

// untried leaves out of a job's candidates those that never can carry it out, and, as long as there are others, those
// that have returned it.
func (o *ownership) untried(r *job.Record, candidates []string) []string {
	is := func(name string, x job.Return) bool { return x.By == o.processAt(name) }
	left := slices.DeleteFunc(slices.Clone(candidates), func(name string) bool {
		return slices.ContainsFunc(r.Returns, func(x job.Return) bool { return x.Never && is(name, x) })
	})
	fresh := slices.DeleteFunc(slices.Clone(left), func(name string) bool {
		return slices.ContainsFunc(r.Returns, func(x job.Return) bool { return is(name, x) })
	})
	if len(fresh) > 0 {
		return fresh
	}
	return left
}
