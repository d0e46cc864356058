package replication

import "time"

// Reading is what a member's clocks show now, as far as what it said shows it (rule T2).
type Reading struct {
	Own   time.Time     // its machine's clock, at the earliest
	City  time.Time     // what it takes for the city's time, at the earliest
	Slack time.Duration // how much later both may be
	Unset bool          // its machine's clock has no vote
}

const (
	// prompt is how soon an answer comes that shows what time it is there now.
	prompt = 2 * time.Second
	// unbounded is the slack of what may have been under way for however long.
	unbounded = time.Duration(1<<63 - 1)
)

// Near is how far a clock is ahead of another that shows ours now: as far as was known, or as near to that as can be
// true. At is the clock as the reading has it.
func (r Reading) Near(at, ours time.Time, known time.Duration) time.Duration {
	return min(max(known, at.Sub(ours)), at.Add(r.Slack).Sub(ours))
}

// contradicts reports whether two readings can't both be true, or a clock was set between them.
func (r Reading) contradicts(x Reading) bool {
	apart := func(a, b time.Time) bool {
		return a.Add(r.Slack).Before(b.Add(-prompt)) || b.Add(x.Slack).Before(a.Add(-prompt))
	}
	return apart(r.Own, x.Own) || apart(r.City, x.City)
}

// read takes in what a member says of its clocks. A message may have been under way for long, as in the buffers of a
// link that was cut: its clocks show at least that, and no more than if it was sent as soon as it can have been, when
// the member had heard us, which was not before asked (zero where the message shows nothing of that). So what came
// promptly counts, and of anything else what is known more exactly, unless the two contradict each other.
func (l *link) read(r Reading, asked, now time.Time) {
	r.Slack = unbounded
	if !asked.IsZero() {
		r.Slack = now.Sub(asked)
	}
	if was := l.reading(now); l.readAt.IsZero() || r.Slack <= prompt || r.Slack < was.Slack || r.contradicts(was) {
		l.clocks, l.readAt = r, now
	}
	l.clocks.Unset = r.Unset
}

// reading is what the member's clocks show now.
func (l *link) reading(now time.Time) Reading {
	r, since := l.clocks, now.Sub(l.readAt)
	r.Own, r.City = r.Own.Add(since), r.City.Add(since)
	return r
}

// Readings lists the clocks of the members that are alive and were heard.
func (r *Replication) Readings() (out []Reading) {
	for _, name := range r.members.Names() {
		if x, ok := r.Reading(name); ok {
			out = append(out, x)
		}
	}
	return out
}

// Reading is what the clocks of one member show now; false when it is not alive, or was not heard.
func (r *Replication) Reading(name string) (Reading, bool) {
	l := r.links[name]
	if l == nil || !l.heard || !r.members.Alive(name) {
		return Reading{}, false
	}
	return l.reading(r.now), true
}
