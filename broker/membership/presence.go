package membership

import (
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
)

// SWIM's word that a broker has failed may be wrong: a link has healed and nobody has told SWIM yet, only UDP
// is cut, or somebody forged it. A broker that shows that it has heard us since then is there, whatever SWIM
// says, before anything that it has sent is judged: otherwise a healed link lets both ends take over each
// other's jobs, over and over (rule P1). That holds for a lease only. Without one, a broker that dies after
// it has shown this would never be lost, since SWIM has nothing new to say of it.
type lease struct {
	actor   clock.Actor // that has shown it
	process clock.Actor // of that, as in Member
	said    clock.Actor // whom SWIM held for present then; another ends the lease
	until   time.Time
}

// term is how long a lease lasts: three beats of those in which a member is asked again that SWIM says has failed.
// SWIM needs as long to hear of a broker that is back.
const term = 30 * time.Second

// Prove takes in that an actor of a member, and its process as in [Member], has heard what this broker sent at an instant. If SWIM holds that
// member for gone, and the instant is later than that, the member is there for a lease. Prove reports whether
// that is new: then [Membership.Review] says what follows.
func (m *Membership) Prove(now time.Time, name string, actor, process clock.Actor, heard time.Time) bool {
	said, known := m.said(name)
	if !known || said.Status.present() || said.Status == Left && m.Leaves(name) {
		return false // there is nothing to prove, or it has said goodbye itself
	}
	until := heard.Add(term)
	if l, has := m.leases[name]; has && l.actor == actor {
		l.until = maxTime(l.until, until)
		m.leases[name] = l
		return false
	}
	if a := m.absent[name]; heard.IsZero() || a != nil && heard.Before(a.since) || !now.Before(until) {
		return false
	}
	m.leases[name] = lease{actor, process, said.Actor, until}
	return true
}

// Proven lists the members that are there although SWIM says otherwise, sorted.
func (m *Membership) Proven() []string { return slices.Sorted(maps.Keys(m.leases)) }

// said is what SWIM says of a member.
func (m *Membership) said(name string) (Member, bool) {
	for _, x := range m.roster {
		if x.Name == name {
			return x, true
		}
	}
	return Member{}, false
}

// asProven is what SWIM says of a member, or, while a lease lasts, that it is there.
func (m *Membership) asProven(now time.Time, x Member) Member {
	l, has := m.leases[x.Name]
	switch {
	case has && (x.Status.present() || !now.Before(l.until) || x.Actor != l.said && x.Actor != l.actor):
		delete(m.leases, x.Name)
	case has:
		if x.Status = Alive; x.Actor != l.actor {
			x.Actor, x.Process = l.actor, l.process
		}
	}
	return x
}

// LeaseEnded reports whether a lease is over: then [Membership.Review] says what follows.
func (m *Membership) LeaseEnded(now time.Time) bool {
	for _, l := range m.leases {
		if !now.Before(l.until) {
			return true
		}
	}
	return false
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
