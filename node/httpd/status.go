package httpd

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// row returns this broker's metadata as it was last published.
func (srv *Server) row() wire.Metadata {
	if r, ok := srv.rowOf(srv.cfg.Name); ok {
		return r
	}
	return wire.Metadata{Name: srv.cfg.Name, Actor: srv.host.Actor(), Capabilities: srv.cfg.Capabilities}
}

// rowOf returns the metadata of a broker as it was last known.
func (srv *Server) rowOf(name string) (wire.Metadata, bool) {
	if s := srv.host.Overview(); s != nil {
		for _, r := range s.State.Metadata {
			if r.Name == name {
				return r, true
			}
		}
	}
	return wire.Metadata{}, false
}

// stats returns what this broker has counted since its start.
func (srv *Server) stats() broker.Stats {
	if s := srv.host.Overview(); s != nil {
		return s.Stats
	}
	return broker.Stats{}
}

// coordination sums up how this broker stands to the others.
func (srv *Server) coordination() api.Coordination {
	row := srv.row()
	drains := srv.drains()
	met, lastSync := srv.host.Contacts()
	c := api.Coordination{
		CoordinatorRunning: srv.host.Running(),
		PeerBrokers:        map[string]api.Peer{}, Warnings: []string{},
		Name: srv.cfg.Name, Actor: srv.host.Actor(), Software: srv.cfg.Software,
		Uptime:   clock.Duration(srv.cfg.Now().Sub(srv.cfg.Started).Round(time.Second)),
		Strategy: row.Strategy, Chosen: row.Chosen, Commands: row.Commands, SyncInterval: clock.Duration(srv.cfg.SyncInterval), SyncStretch: max(row.Stretch, 1),
		Replicas: srv.cfg.Replicas, Clock: clock.Vector(row.Clock), Jobs: row.Jobs,
		Capacity: srv.cfg.Capabilities.Capacity, Usage: row.Usage, WorkerMemory: srv.host.WorkerMemory(), ModuleCache: srv.host.ModuleCache(), Sandbox: srv.host.Sandbox(), ModuleSandbox: srv.host.ModuleSandbox(), AsOf: srv.cfg.Now().UTC(),
		Emergency: row.Emergency.Level, Emergencies: srv.activeEmergencies(),
		Time: srv.host.CityTime(), Unset: row.Unset,
		Draining: row.Draining, Drained: drains[srv.cfg.Name], DiskFull: srv.host.DiskFull() != "", Withdrawn: row.Withdrawn, Quarantined: int(srv.stats().Quarantined),
	}
	c.Exposed = srv.host.Exposed()
	c.Warnings = append(c.Warnings, warnings(srv.host.Troubles()...)...)
	if !lastSync.IsZero() {
		t := lastSync.UTC()
		c.LastSyncTime = &t
	}
	if s := srv.host.Overview(); s != nil {
		c.Here = &api.Here{Running: s.Stats.Running, Queued: s.Stats.Waiting}
		c.Unproven, c.AwaitsProof = s.Unproven != "", s.Unproven
		c.Protocol, c.HeldBack, c.HeldBackBy = s.Protocol, s.HeldBack, s.HeldBackBy
		c.Warnings = append(c.Warnings, s.Warnings...)
	}
	if srv.cfg.City != nil {
		c.Warnings = append(c.Warnings, srv.cfg.City.Splits()...)
	}
	if c.Clock == nil {
		c.Clock = clock.Vector{}
	}
	healths := srv.healths(srv.cfg.Now())
	for _, m := range srv.others() {
		c.TotalPeers++
		k, h := met[m.Name], healths[m.Name]
		p := api.Peer{InGossip: h.gossip, GossipLost: utcOrNil(h.lost), ByMessages: m.Status != membership.Alive && srv.proven(m.Name), Healthy: h.kind == healthy, Health: h.text(srv.cfg.Now())}
		if p.Healthy {
			c.HealthyPeers++
		} else {
			c.UnhealthyPeers++
		}
		p.Host, p.Port = splitAddr(m.HTTPAddr)
		p.RTT = srv.rtt(m.Name)
		p.Attempts, p.Failed, p.Failing, p.Stranger, p.Refused = k.Attempts, k.Failed, k.Failing, k.Stranger, k.Refused
		if !k.Seen.IsZero() {
			p.LastSeen = k.Seen.Unix()
		}
		other, _ := srv.rowOf(m.Name)
		p.Unset, p.Unproven, p.TakesNone = other.Unset, other.Unproven, takesNone(&other, m.Draining || m.Status == membership.Leaving, drains[m.Name] != nil)
		s := srv.standing(m.Name)
		p.Behind, p.Ahead, p.ClockOff = s.Behind, s.Ahead, offOf(s)
		p.Breaches, p.LastBreach = s.Breaches.Count, lastBreach(s)
		c.PeerBrokers[m.Name] = p
	}
	for name, m := range srv.roll() { // Serf has dropped it, and it counts all the same
		if _, known := c.PeerBrokers[name]; m.Absent && !known {
			c.TotalPeers++
			c.UnhealthyPeers++
			c.PeerBrokers[name] = api.Peer{Health: healths[name].text(srv.cfg.Now()), GossipLost: utcOrNil(healths[name].lost)}
		}
	}
	return c
}

// utcOrNil is an instant as the API shows it, null where it is not known.
func utcOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// unproven reports whether the start of a broker is not proven yet; only of this one it is known whether it is a cluster
// of its own, and needs no proof.
func (srv *Server) unproven(row *wire.Metadata) bool {
	if s := srv.host.Overview(); row.Name == srv.cfg.Name {
		return s != nil && s.Unproven != ""
	}
	return row.Unproven
}

// standing is how a broker stands to this one, as last published.
func (srv *Server) standing(name string) broker.Standing {
	if s := srv.host.Overview(); s != nil {
		return s.Peers[name]
	}
	return broker.Standing{}
}

// offOf is how far a broker's clock is off, as the API shows it.
func offOf(s broker.Standing) clock.Duration { return clock.Duration(s.ClockOff.Round(time.Second)) }

// lastBreach is the latest one of a broker, for people; "" when there was none.
func lastBreach(s broker.Standing) string {
	if s.Breaches.Count == 0 {
		return ""
	}
	return s.Breaches.Last.What + " (rule " + s.Breaches.Last.Rule + ")"
}

// rtt is the round-trip time to a member, as the API shows it; 0 when it is not known.
func (srv *Server) rtt(name string) clock.Duration {
	d, _ := srv.host.RTT(name)
	return clock.Duration(d.Round(time.Microsecond))
}

// proven reports whether a member is there although SWIM says otherwise, as last published.
func (srv *Server) proven(name string) bool {
	s := srv.host.Overview()
	return s != nil && slices.Contains(s.Proven, name)
}

// activeEmergencies lists those that are active, as last published.
func (srv *Server) activeEmergencies() []api.Emergency {
	out := []api.Emergency{}
	if s := srv.host.Overview(); s != nil {
		for _, v := range s.Active {
			out = append(out, srv.emergencyView(v, srv.cfg.Now()))
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

func (srv *Server) handleCoordination(w http.ResponseWriter, r *http.Request) error {
	if !queryYes(r, "ask") {
		writeJSON(w, http.StatusOK, srv.coordination())
		return nil
	}
	answered := srv.host.Ask(r.Context())
	c := srv.coordination()
	for name, p := range c.PeerBrokers {
		answers := answered[name]
		p.Answers = &answers
		c.PeerBrokers[name] = p
	}
	writeJSON(w, http.StatusOK, c)
	return nil
}

// handleMetadata shows the newest known metadata of every member.
func (srv *Server) handleMetadata(w http.ResponseWriter, _ *http.Request) error {
	rows := map[string]wire.Metadata{srv.cfg.Name: srv.row()}
	if s := srv.host.Overview(); s != nil {
		for _, r := range s.State.Metadata {
			rows[r.Name] = r
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"brokers": rows})
	return nil
}

func (srv *Server) handleMembers(w http.ResponseWriter, r *http.Request) error {
	l := api.MemberList{Members: srv.members(), Exposed: srv.host.Exposed()}
	unheard := srv.unheardBy(r)
	for i := range l.Members {
		if m := &l.Members[i]; m.Health == string(healthy) && unheard[m.Name] != "" {
			m.Health = unheard[m.Name]
		}
	}
	writeJSON(w, http.StatusOK, l)
	return nil
}

// DrainingTag is the Serf tag of a broker that is about to leave (rule I2): nobody gives it anything
// any more.
const DrainingTag = "draining"

// takesNone says why a broker takes no jobs, by what it has told of itself, by whether gossip says that it leaves, which is
// told sooner, and by whether an operator has drained it as far as is known here: it may not have heard of that yet. "" while it does.
func takesNone(m *wire.Metadata, leaves, drained bool) string {
	switch {
	case m.Draining || leaves:
		return "it is about to leave"
	case m.NoRoom():
		return "its disk is full"
	case drained:
		return wire.DrainedText
	}
	return m.Withdrawn
}

// members lists every node of the pool, stock Serf agents too.
func (srv *Server) members() []api.Member {
	out := []api.Member{}
	roll := srv.roll()
	healths := srv.healths(srv.cfg.Now())
	drains := srv.drains()
	active := map[string]bool{}
	for _, e := range srv.activeEmergencies() {
		active[string(e.ID)] = true
	}
	for _, m := range srv.host.Members() {
		row, _ := srv.rowOf(m.Name)
		s := srv.standing(m.Name)
		out = append(out, api.Member{
			Emergency: row.Emergency.Level, Emergencies: orEmpty(row.Emergency.IDs), Unheard: without(row.Emergency.IDs, active),
			Name: m.Name, Addr: m.Addr, HTTPAddr: m.Tags["http"], Status: string(m.Status),
			Actor: clock.Actor(m.Tags["actor"]), RTT: srv.rtt(m.Name), Self: m.Name == srv.cfg.Name,
			Draining: m.Tags[DrainingTag] != "", Unset: row.Unset, ClockOff: offOf(s), Unproven: srv.unproven(&row),
			Breaches: s.Breaches.Count, LastBreach: lastBreach(s), Revoked: srv.revoked(m.Name), Withdrawn: row.Withdrawn, TakesNone: takesNone(&row, m.Tags[DrainingTag] != "" || string(m.Status) == string(membership.Leaving), drains[m.Name] != nil), Drained: drains[m.Name],
		})
		if h, judged := healths[m.Name]; judged {
			out[len(out)-1].Health = h.text(srv.cfg.Now())
		}
		enrolled(&out[len(out)-1], roll)
		delete(roll, m.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(roll)) { // Serf has dropped them; those in the roll count all the same
		if roll[name].Closed == "" && roll[name].Uninvited == "" && name != srv.cfg.Name {
			out = append(out, api.Member{Name: name, Status: string(membership.Failed), Emergencies: []string{}, Health: healths[name].text(srv.cfg.Now()), Drained: drains[name]})
			enrolled(&out[len(out)-1], roll)
		}
	}
	return out
}

// without lists those that are not in a set.
func without(list []string, set map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return set[s] })
}

// roll is who has a member record, by name, as last published.
func (srv *Server) roll() map[string]broker.Enrolled {
	out := map[string]broker.Enrolled{}
	if s := srv.host.Overview(); s != nil {
		for _, m := range s.Roll {
			out[m.Name] = m
		}
	}
	return out
}

// enrolled says of a member what its record says.
func enrolled(m *api.Member, roll map[string]broker.Enrolled) {
	r, known := roll[m.Name]
	switch {
	case !known || r.Uninvited != "":
		return
	case r.Closed != "":
		m.Roll = string(r.Closed)
		return
	}
	m.Roll, m.Away = "open", r.Absent
	if r.Absent && !r.Since.IsZero() {
		since := r.Since.UTC()
		m.AwaySince = &since
	}
}

// handleRemoveMember takes an operator's word that a broker will not come back (rule M2).
func (srv *Server) handleRemoveMember(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if !label.ValidName(name) {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "%.80q is not a broker's name", name)
	}
	done, err := ask[*broker.MemberForgotten](r.Context(), srv, func(t broker.Token) broker.Input { return broker.ForgetMember{Token: t, Name: name} })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, api.RemovedMember{
		Name: done.Name, Losses: done.Losses, Bear: done.Bear, Replicas: done.Replicas, Degraded: done.Degraded, StillMember: srv.endIdentity(r.Context(), name),
	})
	return nil
}
