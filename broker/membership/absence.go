package membership

import (
	"maps"
	"slices"
	"time"
)

// absence is what is known of a broker that SWIM says is not there, or that jobs name and
// nobody knows.
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
	maxDoublings    = 5                // of the redeploy delay
	isolationWindow = 10 * time.Second // in which losses count together
)

// noteAbsences compares the new roster with the absences that were known. It reports whether this broker begins to
// hold itself for cut off.
func (m *Membership) noteAbsences(now time.Time) (isolated bool) {
	for _, name := range m.names {
		x := m.members[name]
		a := m.absent[name]
		switch {
		case x.Status.present():
			delete(m.absent, name)
		case a == nil:
			if x.Status == Failed {
				m.gone[name] = now
			}
			m.absent[name] = &absence{since: now, wait: m.patience(now, name, x.Status)}
		case x.Status == Left && !a.lost:
			a.wait = 0
		}
	}
	return m.checkIsolation(now)
}

// patience is how long an absent broker may refute that: not at all when it has left, longer
// each time when it flaps, so that no storm follows (rule J6).
func (m *Membership) patience(now time.Time, name string, status Status) time.Duration {
	if status == Left {
		return 0
	}
	f := m.flaps[name]
	if now.Sub(f.last) > flapMemory {
		f.times = 0
	}
	wait := m.cfg.RedeployDelay << min(f.times, maxDoublings)
	m.flaps[name] = flapping{f.times + 1, now}
	return wait
}

// checkIsolation notices that this broker has lost more than half of the members, itself
// included, within a short time: then it is more likely that it is cut off than that they all
// died, and it waits before it takes anything over (rule J7). It reports whether that is new.
func (m *Membership) checkIsolation(now time.Time) bool {
	failed, lately := 0, 0
	for name, a := range m.absent {
		if m.members[name].Status != Failed {
			continue
		}
		failed++
		if now.Sub(a.since) < isolationWindow {
			lately++
		}
	}
	here := m.Living()
	switch {
	case lately > here:
		if m.isolated.IsZero() {
			m.isolated = now.Add(m.cfg.IsolationDelay)
			return true
		}
	case failed < here:
		m.isolated = time.Time{}
	}
	return false
}

// Absent reports whether a broker is not there, lost or not; one that nobody knows is absent.
func (m *Membership) Absent(name string) bool {
	return m.absent[name] != nil || name != m.self && !m.Knows(name)
}

// AbsentSince is when a broker was found not to be there; zero when it was not there before this one's start.
func (m *Membership) AbsentSince(name string) time.Time {
	if a := m.absent[name]; a != nil {
		return a.since
	}
	return time.Time{}
}

// JudgeLost reports whether a broker is lost, as far as can be known: its jobs pass to others.
// For a broker that nobody knows, as after a restart without peers, the wait begins now; it is
// as long as for one that this broker might be cut off from.
func (m *Membership) JudgeLost(now time.Time, name string) bool {
	if name == m.self {
		return false
	}
	a := m.absent[name]
	if a == nil {
		if m.Knows(name) {
			return false
		}
		a = &absence{since: now, wait: max(m.cfg.IsolationDelay, m.cfg.RedeployDelay)}
		m.absent[name] = a
	}
	return a.lost
}

// Expire declares those lost whose time is over, and lists them.
func (m *Membership) Expire(now time.Time) (lost []string) {
	for _, name := range slices.Sorted(maps.Keys(m.absent)) {
		if a := m.absent[name]; !a.lost && !now.Before(m.lostAt(a)) {
			a.lost = true
			lost = append(lost, name)
		}
	}
	return lost
}

// Due is when Expire or LeaseEnded will have something to say; zero is never.
func (m *Membership) Due() (due time.Time) {
	for _, a := range m.absent {
		if at := m.lostAt(a); !a.lost && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	for _, l := range m.leases {
		if due.IsZero() || l.until.Before(due) {
			due = l.until
		}
	}
	return due
}

// LostAlone reports whether a member that failed, or was started again, is the only one that did within a while:
// when several do, it is rather the power or the network than anything that runs there (rules J7, P4).
func (m *Membership) LostAlone(name string) bool {
	at, was := m.gone[name]
	for other, then := range m.gone {
		if other != name && then.Sub(at).Abs() < isolationWindow {
			return false
		}
	}
	return was
}

// Doubted lists the members of whom SWIM says that they have failed and that are not lost yet, sorted.
func (m *Membership) Doubted() (names []string) {
	for name, a := range m.absent {
		if !a.lost && m.members[name].Status == Failed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Lost reports whether a broker was declared lost.
func (m *Membership) Lost(name string) bool {
	a := m.absent[name]
	return a != nil && a.lost
}

func (m *Membership) lostAt(a *absence) time.Time {
	at := a.since.Add(a.wait)
	if at.Before(m.isolated) {
		return m.isolated
	}
	return at
}
