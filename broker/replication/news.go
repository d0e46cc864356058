package replication

import (
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/clock"
)

// Tell marks the links that will tell of a record with these dots (rule S1): those to copies
// brokers on the ring, to the brokers that the record names, and to one rotating random member.
// What was written here goes at once, since answers wait for it (rules A1, A3). To the random
// member, and for what others wrote and have told, too, it is a rumour, which waits for company.
func (r *Replication) Tell(dots clock.Vector, own bool, copies int, named ...string) {
	if !r.cfg.NewsLinks {
		return
	}
	ring := r.members.Ring()
	for _, name := range ring[:min(len(ring), copies)] {
		r.mark(name, dots, own)
	}
	for _, name := range named {
		r.mark(name, dots, own)
	}
	r.mark(r.Rotating(), dots, false)
}

func (r *Replication) mark(name string, dots clock.Vector, atOnce bool) {
	if l := r.links[name]; l != nil && !l.holds(dots, r.lineage) {
		l.news, l.rumour = l.news || atOnce, l.rumour || !atOnce
	}
}

// alarmed is how many random members each broker tells of an emergency.
const alarmed = 2

// Alarm passes an emergency on at once, whichever broker wrote it: to the ring successors, so
// that nobody is left out, and to a few random members, so that it takes few steps: with each
// step the number of those that know grows about threefold (epidemic broadcast, Demers et al.
// 1987). It is the second way beside Serf's event, and the one that loses nothing.
func (r *Replication) Alarm(dots clock.Vector, copies int) {
	r.Tell(dots, true, copies)
	names := r.members.Names()
	if !r.cfg.NewsLinks || len(names) == 0 {
		return
	}
	for range alarmed {
		if l := r.links[names[r.random.Below(len(names))]]; l != nil && !l.holds(dots, r.lineage) {
			l.news = true
		}
	}
}

// TellNow sends what may be news to a member at once.
func (r *Replication) TellNow(name string) {
	if l := r.links[name]; l != nil && r.cfg.NewsLinks {
		l.news = true
	}
}

// Pull asks a member for what it holds and this broker lacks. A name of no member does nothing.
func (r *Replication) Pull(name string) {
	if l := r.links[name]; l != nil {
		l.want = true
	}
}

// Retry asks a member at once that did not answer, since others have news of it. A name of no member does
// nothing.
func (r *Replication) Retry(name string) {
	if l := r.links[name]; l != nil && r.now.Sub(l.plain.asked) > backoffMin {
		l.want, l.notBefore = true, r.now
	}
}

// PullAll asks every member.
func (r *Replication) PullAll() {
	for _, name := range r.members.Names() {
		r.Pull(name)
	}
}

// Rotating names the random member of this second, which gets rumours; "" of nobody.
func (r *Replication) Rotating() string {
	names := r.members.Names()
	if len(names) == 0 {
		return ""
	}
	slot := uint64(r.now.Unix())
	pick := prng.Source(r.cfg.Seed ^ slot)
	return names[pick.Below(len(names))]
}
