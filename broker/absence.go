package broker

import (
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/job"
)

// absence is what is known of a broker that SWIM says is not there, or that jobs
// name and nobody knows.
type absence struct {
	since time.Time
	wait  time.Duration // for it to refute that
	lost  bool          // it did not: its jobs move (rule J6)
}

// flapping counts how often a broker went absent lately.
type flapping struct {
	times int
	last  time.Time
}

// Bounds of rules J6 and J7.
const (
	flapMemory      = 10 * time.Minute // after so long a failure is the first again
	flapMost        = 5                // doublings of the redeploy delay
	isolationWindow = 10 * time.Second // in which losses count together
)

// noteAbsences compares the new roster with what was known of who is there.
func (b *Broker) noteAbsences() {
	for _, name := range b.names {
		m := b.members[name]
		a := b.absent[name]
		switch {
		case m.Status == membership.Alive || m.Status == membership.Leaving:
			delete(b.absent, name)
		case a == nil:
			b.absent[name] = &absence{since: b.now, wait: b.patience(name, m.Status)}
		case m.Status == membership.Left && !a.lost:
			a.wait = 0
		}
	}
	b.checkIsolation()
}

// patience is how long an absent broker may refute that: not at all when it said
// goodbye, longer each time when it flaps, so that no storm follows (rule J6).
func (b *Broker) patience(name string, status membership.Status) time.Duration {
	if status == membership.Left {
		return 0
	}
	f := b.flaps[name]
	if b.now.Sub(f.last) > flapMemory {
		f.times = 0
	}
	wait := b.cfg.RedeployDelay << min(f.times, flapMost)
	b.flaps[name] = flapping{f.times + 1, b.now}
	return wait
}

// checkIsolation notices that this broker has lost more than half of the members, itself
// included, within a short time: then it is more likely that it is cut off than
// that they all died, and it waits before it takes anything over (rule J7).
func (b *Broker) checkIsolation() {
	gone := 0
	for name, a := range b.absent {
		if b.members[name].Status == membership.Failed && b.now.Sub(a.since) < isolationWindow {
			gone++
		}
	}
	here := b.living()
	switch {
	case gone > here:
		if b.isolated.IsZero() {
			b.isolated = b.now.Add(b.cfg.IsolationDelay)
		}
	case b.absentees() < here:
		b.isolated = time.Time{}
	}
}

// absentees counts the members that failed.
func (b *Broker) absentees() (n int) {
	for name := range b.absent {
		if b.members[name].Status == membership.Failed {
			n++
		}
	}
	return n
}

// lost reports whether a broker is gone for good, as far as can be known: its jobs
// pass to others. One that nobody knows, as after a restart without peers, is given
// as long as one that we might be cut off from.
func (b *Broker) lost(name string) bool {
	if name == b.self {
		return false
	}
	a := b.absent[name]
	if a == nil {
		if b.members[name].Name != "" {
			return false
		}
		a = &absence{since: b.now, wait: max(b.cfg.IsolationDelay, b.cfg.RedeployDelay)}
		b.absent[name] = a
	}
	return a.lost
}

// checkAbsences declares those lost whose time is over.
func (b *Broker) checkAbsences() {
	for _, name := range slices.Sorted(maps.Keys(b.absent)) {
		a := b.absent[name]
		if a.lost || b.now.Before(b.lostAt(a)) {
			continue
		}
		a.lost = true
		b.reviewWhere(func(r *job.Record) bool { return r.Owner.Broker == name || r.Place.Broker == name })
	}
}

func (b *Broker) lostAt(a *absence) time.Time {
	at := a.since.Add(a.wait)
	if at.Before(b.isolated) {
		return b.isolated
	}
	return at
}

func (b *Broker) absencesDue() (due time.Time) {
	for _, a := range b.absent {
		if at := b.lostAt(a); !a.lost && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	return due
}

// heir names the broker that takes a job over when its owner is gone: the one with
// the highest hash of name and key among those that are alive and stay (rendezvous
// hashing, Thaler and Ravishankar 1998). All who see the same members name the
// same, without a word between them. "" when there is nobody.
func (b *Broker) heir(key string, without string) (name string) {
	var stay []string
	if !b.draining && b.self != without {
		stay = append(stay, b.self)
	}
	for _, n := range b.names {
		if n != without && b.alive(n) && !b.leaves(n) {
			stay = append(stay, n)
		}
	}
	return rendezvous(stay, key)
}

// rendezvous names the one with the highest hash of name and key, "" of nobody.
func rendezvous(names []string, key string) (name string) {
	var best uint64
	for _, candidate := range names {
		h := fnv.New64a()
		h.Write([]byte(candidate))
		h.Write([]byte{0})
		h.Write([]byte(key))
		w := prng.Source(h.Sum64())
		if weight := w.Next(); name == "" || weight > best {
			best, name = weight, candidate
		}
	}
	return name
}

// leaves reports whether a member is about to go, and takes nothing (rule J6).
func (b *Broker) leaves(name string) bool {
	m, row := b.members[name], b.rows[name]
	return m.Draining || m.Status == membership.Leaving || row.Draining && row.Actor == m.Actor
}
