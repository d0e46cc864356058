package gossip

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/serf/serf"
)

// Status is the state of a node in the cluster.
type Status string

// The four states of a node. A node is alive until SWIM finds that it has failed or it announces that it is
// leaving; a failed node that comes back is alive again. Serf forgets failed and left nodes after 24 hours
// (see MemberReaped).
const (
	Alive   Status = "alive"
	Leaving Status = "leaving"
	Left    Status = "left"
	Failed  Status = "failed"
)

// Member is one node of the Serf cluster, as this node sees it. Its Tags tell whether it is a broker or a
// stock agent (rule I2).
type Member struct {
	Name   string            // unique in the cluster; it comes from the peer and is not validated
	Addr   string            // host:port of its gossip, as advertised by it
	Tags   map[string]string // the caller's own copy
	Status Status
}

// Members returns all known nodes, including this one and failed and left ones, sorted by name. It may be
// called at any time, also after Shutdown.
//
// The owner should compare what it received on Events with Members every few seconds: events can be dropped,
// this list is complete.
func (p *Pool) Members() []Member {
	raw := p.agent.Serf().Members()
	members := make([]Member, len(raw))
	for i := range raw {
		members[i] = newMember(&raw[i])
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return members
}

// newMember copies what is used of Serf's member.
func newMember(m *serf.Member) Member {
	return Member{Name: m.Name, Addr: joinHostPort(m.Addr, m.Port), Tags: maps.Clone(m.Tags), Status: newStatus(m.Status)}
}

// newStatus translates Serf's status. An unknown status counts as failed.
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
