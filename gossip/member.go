package gossip

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/serf/serf"
)

// Status says how a node stands in the pool.
type Status string

// The four states of a node. A node is alive until SWIM finds it failed or it
// says that it is leaving; a failed node that comes back is alive again. Serf
// forgets those that failed or left after 24 hours (see MemberReaped).
const (
	Alive   Status = "alive"
	Leaving Status = "leaving"
	Left    Status = "left"
	Failed  Status = "failed"
)

// Member is one node of the Serf cluster, as this node sees it. It may be a
// broker or a stock agent: whoever reads Tags decides (rule I2).
type Member struct {
	Name   string            // unique in the cluster; not checked, it comes from the peer
	Addr   string            // host:port of its gossip, as it advertises it
	Tags   map[string]string // its tags; the caller's own copy
	Status Status
}

// Members returns all known nodes, this one and failed and left ones included,
// sorted by name. Anyone may call it at any time, also after Shutdown.
//
// The owner reconciles what it heard on Events with Members every few seconds:
// events can be dropped, this list cannot.
func (p *Pool) Members() []Member {
	raw := p.agent.Serf().Members()
	members := make([]Member, len(raw))
	for i := range raw {
		members[i] = newMember(&raw[i])
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return members
}

// Local returns this node as its peers see it. The address is the advertised one.
func (p *Pool) Local() Member {
	for _, m := range p.agent.Serf().Members() {
		if m.Name == p.cfg.Name {
			return newMember(&m)
		}
	}
	// An operator has pruned this node while it left.
	return Member{Name: p.cfg.Name, Addr: p.Addr(), Status: Left}
}

// newMember copies what we show of a member out of Serf's.
func newMember(m *serf.Member) Member {
	return Member{Name: m.Name, Addr: joinHostPort(m.Addr, m.Port), Tags: maps.Clone(m.Tags), Status: newStatus(m.Status)}
}

// newStatus translates Serf's status; what it does not know counts as failed.
func newStatus(s serf.MemberStatus) Status {
	switch s {
	case serf.StatusAlive:
		return Alive
	case serf.StatusLeaving:
		return Leaving
	case serf.StatusLeft:
		return Left
	}
	return Failed
}
