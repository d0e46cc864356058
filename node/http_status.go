package node

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
)

// row returns this broker's metadata as it was last published.
func (n *Node) row() wire.Metadata {
	if r, ok := n.rowOf(n.name); ok {
		return r
	}
	return wire.Metadata{Name: n.name, Actor: n.actor, Capabilities: n.caps}
}

// rowOf returns the metadata of a broker as it was last known.
func (n *Node) rowOf(name string) (wire.Metadata, bool) {
	if s := n.overview.Load(); s != nil {
		for _, r := range s.State.Metadata {
			if r.Name == name {
				return r, true
			}
		}
	}
	return wire.Metadata{}, false
}

// stats returns what this broker has counted since its start.
func (n *Node) stats() broker.Stats {
	if s := n.overview.Load(); s != nil {
		return s.Stats
	}
	return broker.Stats{}
}

// distance counts the updates that a clock covers and another does not.
func distance(a, b clock.Vector) (n uint64) {
	for d := range a.Beyond(b) {
		n += d.Counter - b.Get(d.Actor)
	}
	return n
}

// coordination sums up how this broker stands to the others.
func (n *Node) coordination() api.Coordination {
	row := n.row()
	met, lastSync := n.peers.contacts()
	c := api.Coordination{
		CoordinatorRunning: n.ctx.Err() == nil,
		PeerBrokers:        map[string]api.Peer{},
		Name:               n.name, Actor: n.actor, Software: n.cfg.Software,
		Uptime:   clock.Duration(n.cfg.Now().Sub(n.start).Round(time.Second)),
		Strategy: row.Strategy, SyncInterval: clock.Duration(n.cfg.SyncInterval), SyncStretch: max(row.Stretch, 1),
		Replicas: n.cfg.Replicas, Clock: row.Clock, Jobs: row.Jobs,
		Capacity: n.caps.Capacity, Usage: row.Usage, AsOf: n.cfg.Now().UTC(),
		Emergency: row.Emergency.Level, Emergencies: n.activeEmergencies(),
		Draining: row.Draining, DiskFull: row.Full, Unaudited: row.Unaudited, Quarantined: int(n.stats().Quarantined),
	}
	if !lastSync.IsZero() {
		t := lastSync.UTC()
		c.LastSyncTime = &t
	}
	if c.Clock == nil {
		c.Clock = clock.Vector{}
	}
	for _, m := range n.brokers() {
		if m.Name == n.name || m.Status == membership.Left {
			continue
		}
		c.TotalPeers++
		p := api.Peer{Healthy: m.Status == membership.Alive}
		if p.Healthy {
			c.HealthyPeers++
		} else {
			c.UnhealthyPeers++
		}
		p.Host, p.Port = splitAddr(m.HTTPAddr)
		k := met[m.Name]
		p.Attempts, p.Failed, p.Failing = k.attempts, k.failed, k.failing
		if !k.seen.IsZero() {
			p.LastSeen = k.seen.Unix()
		}
		if other, ok := n.rowOf(m.Name); ok {
			p.Behind, p.Ahead = distance(c.Clock, other.Clock), distance(other.Clock, c.Clock)
		}
		c.PeerBrokers[m.Name] = p
	}
	return c
}

// activeEmergencies lists those that are active, as last published.
func (n *Node) activeEmergencies() []api.Emergency {
	out := []api.Emergency{}
	if s := n.overview.Load(); s != nil {
		for _, v := range s.Active {
			out = append(out, n.emergencyView(v, n.cfg.Now()))
		}
	}
	return out
}

func splitAddr(addr string) (string, int) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return addr, 0
	}
	return host, number
}

func (n *Node) handleCoordination(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, n.coordination())
	return nil
}

// handleMetadata shows the newest known metadata of every member.
func (n *Node) handleMetadata(w http.ResponseWriter, _ *http.Request) error {
	rows := map[string]wire.Metadata{n.name: n.row()}
	if s := n.overview.Load(); s != nil {
		for _, r := range s.State.Metadata {
			rows[r.Name] = r
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"brokers": rows})
	return nil
}

func (n *Node) handleMembers(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, api.MemberList{Members: n.members()})
	return nil
}

// members lists every node of the pool, stock Serf agents too.
func (n *Node) members() []api.Member {
	out := []api.Member{}
	for _, m := range n.pool.Members() {
		rtt, _ := n.pool.RTT(m.Name)
		row, _ := n.rowOf(m.Name)
		out = append(out, api.Member{
			Emergency: row.Emergency.Level, Emergencies: orEmpty(row.Emergency.IDs),
			Name: m.Name, Addr: m.Addr, HTTPAddr: m.Tags["http"], Status: string(m.Status),
			Actor: clock.Actor(m.Tags["actor"]), RTT: clock.Duration(rtt.Round(time.Microsecond)), Self: m.Name == n.name,
			Draining: m.Tags[drainingTag] != "",
		})
	}
	return out
}
