package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// causality is what clients and jobs have seen: jobs that wait for news of what they depend on
// (rule C2), and clients that wait until this broker knows what they know (rule C3).
type causality struct {
	*core
	behind   map[string]time.Time // jobs that wait until this broker knows what they depend on, or until then
	catching []catching
}

func newCausality(c *core) causality { return causality{core: c, behind: map[string]time.Time{}} }

// ended says that a job has ended: it waits for nothing any more.
func (c *causality) ended(key string) { delete(c.behind, key) }

// drop takes back a client that waits no longer.
func (c *causality) drop(t Token) {
	c.catching = slices.DeleteFunc(c.catching, func(w catching) bool { return w.token == t })
}

// waitsForNews reports whether a job waits for news of what it depends on.
func (c *causality) waitsForNews(key string) bool {
	_, waits := c.behind[key]
	return waits
}

// before lists the keys of the nearest jobs before this one that compete here, or
// may come to (rule C1). Through those that have ended, or run elsewhere, it looks for
// what stands before them.
func (c *causality) before(r *job.Record) (keys []string) {
	const most = 64 // jobs looked at
	seen := map[string]bool{r.Key(): true}
	look := append([]job.Dependency{}, r.Created[0].Deps...)
	for len(look) > 0 && len(seen) < most {
		d := look[0]
		look = look[1:]
		for _, key := range c.jobs.withID(d.Job) {
			p := c.record(key)
			if p == nil || seen[key] || !slices.ContainsFunc(p.Created, func(s job.Stamp) bool { return s.Dot == d.Dot }) {
				continue
			}
			seen[key] = true
			if !p.Finished() && (p.Place.IsZero() || c.ours(p.Place.Actor)) {
				keys = append(keys, key)
				continue
			}
			look = append(look, p.Created[0].Deps...)
		}
	}
	return keys
}

// causalWait is how long an executor waits for news of what a job depends on (rule C2).
const causalWait = 10 * time.Second

// isBehind reports whether a job must wait because this broker does not yet know what it depends
// on: what our clock does not cover may come before it.
func (c *causality) isBehind(r *job.Record, by resolve.Strategy) bool {
	key := r.Key()
	missing := slices.ContainsFunc(r.Created[0].Deps, func(d job.Dependency) bool { return !c.ledger.Has(d.Dot) })
	until, waits := c.behind[key]
	switch {
	case !missing || !by.Causal():
		delete(c.behind, key)
		return false
	case !waits:
		c.stats.Behind++
		until = c.now.Add(causalWait)
		c.behind[key] = until
		c.reviews.at(until, key)
		for _, d := range r.Created[0].Deps {
			c.peers.Pull(d.Dot.Actor.Broker())
		}
	}
	if !c.now.Before(until) {
		c.stats.Uncaused++
		return false
	}
	return true
}

// checkBehind looks again at the jobs that wait for news.
func (c *causality) checkBehind() {
	for _, key := range slices.Sorted(maps.Keys(c.behind)) {
		c.reviews.later(key)
	}
}

// catching is a client that waits until this broker knows what it has seen (rule
// C3).
type catching struct {
	token    Token
	past     causal.Context
	deadline time.Time
}

func (c *causality) catchUp(in CatchUp) {
	missing := c.unsure(in.Past)
	if len(missing) == 0 || in.Timeout <= 0 {
		c.answerCaughtUp(in.Token, missing)
		return
	}
	for _, x := range missing { // whoever wrote it has it: ask there
		c.peers.Pull(x.Dot.Actor.Broker())
	}
	c.catching = append(c.catching, catching{in.Token, in.Past, c.now.Add(in.Timeout)})
}

// unsure lists what this broker may not know of what a client has seen: updates that its clock does not cover, and jobs
// of which it has seen more than is here, perhaps, and that others may have ended and forgotten. Of these the clock says
// nothing: it can cover an end that came in no delta (rules L9, M3).
func (c *causality) unsure(past causal.Context) causal.Context {
	missing := past.Beyond(c.ledger.Has)
	if len(c.disputes.open) == 0 && !c.peers.Unsure(0) {
		return missing
	}
	for _, x := range past {
		if x.Job != "" && c.ledger.Has(x.Dot) && slices.ContainsFunc(c.jobs.withID(x.Job), func(key string) bool { return c.mayBeOlder(key, x.Dot, past) }) {
			missing = append(missing, x)
		}
	}
	return missing
}

// mayBeOlder reports whether a job with this creation may be held in an older state than a client has seen.
func (c *causality) mayBeOlder(key string, created clock.Dot, past causal.Context) bool {
	r := c.record(key)
	switch {
	case r == nil:
		return false
	case c.isDisputed(key):
	case r.Finished() && (c.peers.Proven() || !c.peers.Unsettled(deciding(r))):
		return false
	case !r.Finished() && !c.peers.Unsure(r.Submitted()):
		return false
	}
	return slices.ContainsFunc(r.Created, func(s job.Stamp) bool { return s.Dot == created }) &&
		slices.ContainsFunc(past, func(x causal.Event) bool { return !r.Dots.Has(x.Dot) })
}

func (c *causality) answerCaughtUp(t Token, missing causal.Context) {
	if len(missing) == 0 {
		c.answer(t, &CaughtUp{})
	} else {
		c.answer(t, &StillBehind{Missing: missing})
	}
}

// checkCatching answers those who need wait no longer.
func (c *causality) checkCatching() {
	if len(c.catching) == 0 {
		return
	}
	c.catching = slices.DeleteFunc(c.catching, func(w catching) bool {
		missing := c.unsure(w.past)
		if len(missing) > 0 && c.now.Before(w.deadline) {
			return false
		}
		c.answerCaughtUp(w.token, missing)
		return true
	})
}

func (c *causality) due() (due time.Time) {
	for _, w := range c.catching {
		if due.IsZero() || w.deadline.Before(due) {
			due = w.deadline
		}
	}
	return due
}
