package httpd

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
)

// shownHost is a node of which only what its core has published is of interest.
type shownHost struct {
	Host
	at       func() time.Time // in the city; nil is the machine's
	overview *broker.Overview
	names    []string
	failed   []string
	trouble  string
	drains   string // by its tag
	synced   time.Time
}

func (h *shownHost) Troubles() []string         { return []string{"", h.trouble} }
func (h *shownHost) Exposed() []string          { return []string{"gossip at 10.0.0.1:7946"} }
func (h *shownHost) DiskFull() string           { return "" }
func (h *shownHost) Overview() *broker.Overview { return h.overview }
func (h *shownHost) CityTime() time.Time {
	if h.at != nil {
		return h.at()
	}
	return time.Now()
}
func (h *shownHost) Used() (cores, memory float64, known bool) {
	return 1.5, 3 << 20, h.overview != nil
}
func (h *shownHost) Workers() (busy, idle int, known bool) { return 2, 1, h.overview != nil }
func (h *shownHost) Disk() Disk {
	if h.overview == nil {
		return Disk{Reserve: -1}
	}
	return Disk{Size: 100, Free: 50, Files: 10, FreeFiles: 5, Reserve: 20}
}

func (h *shownHost) Actor() clock.Actor { return "a~1" }
func (h *shownHost) Running() bool      { return true }
func (h *shownHost) ModuleCache() *api.ModuleCache {
	return &api.ModuleCache{Bytes: 30, Most: 40}
}

func (h *shownHost) ModuleSandbox() *api.Sandbox {
	return &api.Sandbox{Holds: []string{"seccomp"}, Missing: map[string]string{"landlock-tcp": "needs Linux 6.7"}}
}

func (h *shownHost) Sandbox() *api.Sandbox {
	return &api.Sandbox{Holds: []string{"seccomp"}, Missing: map[string]string{"users": "not root"}}
}

func (h *shownHost) WorkerMemory() *api.WorkerMemory {
	return &api.WorkerMemory{Room: 100, Accounted: 60, Resident: 50}
}
func (h *shownHost) Contacts() (map[string]Contact, time.Time) {
	met := map[string]Contact{}
	for _, name := range h.names {
		met[name] = Contact{Seen: asOf, Answered: asOf}
	}
	return met, h.synced
}
func (h *shownHost) RTT(string) (rtt time.Duration, known bool) { return 0, false }

func (h *shownHost) Brokers() (out []membership.Member) {
	for _, name := range h.names {
		out = append(out, membership.Member{Name: name, HTTPAddr: name + ":1", Status: membership.Alive, Draining: name == h.drains})
	}
	for _, name := range h.failed {
		out = append(out, membership.Member{Name: name, HTTPAddr: name + ":1", Status: membership.Failed})
	}
	return out
}

func (h *shownHost) Members() (out []gossip.Member) {
	for _, name := range h.names {
		out = append(out, gossip.Member{Name: name, Status: "alive"})
		if name == h.drains {
			out[len(out)-1].Tags = map[string]string{DrainingTag: "1"}
		}
	}
	return out
}

var asOf = time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)

// That a broker is about to leave is shown as soon as gossip says so, before it says so itself.
func TestLeavingIsShownAtOnce(t *testing.T) {
	o := &broker.Overview{State: wire.State{Metadata: []wire.Metadata{{Name: "a"}, {Name: "b"}}}}
	srv := &Server{cfg: Config{Name: "a", Now: func() time.Time { return asOf }, SyncInterval: time.Minute}, host: &shownHost{overview: o, names: []string{"a", "b"}, drains: "b"}}
	require.Equal(t, "it is about to leave", srv.coordination().PeerBrokers["b"].TakesNone)
	require.Equal(t, "it is about to leave", srv.members()[1].TakesNone)
	require.Empty(t, srv.members()[0].TakesNone)
}

// What the core knows of troubles is shown: in the status, and in the list of members.
func TestTroublesAreShown(t *testing.T) {
	o := &broker.Overview{
		Unproven: "not proven yet, until b has compared",
		State:    wire.State{Metadata: []wire.Metadata{{Name: "a"}, {Name: "b", Unproven: true, Withdrawn: "no place for files"}}},
		Peers: map[string]broker.Standing{
			"a": {ClockOff: -time.Hour},
			"b": {Behind: 7, ClockOff: 48*time.Hour + time.Millisecond, Breaches: broker.Breaches{Count: 3, Last: broker.Breach{Peer: "b", Rule: "X1", What: "it holds too much"}}},
		},
	}
	srv := &Server{cfg: Config{Name: "a", Now: func() time.Time { return asOf }, SyncInterval: time.Minute}, host: &shownHost{overview: o, names: []string{"a", "b"}}}
	const last = "it holds too much (rule X1)"

	s := srv.coordination()
	require.True(t, s.Unproven)
	require.Equal(t, o.Unproven, s.AwaitsProof)
	require.Equal(t, srv.host.WorkerMemory(), s.WorkerMemory)
	require.Equal(t, srv.host.ModuleCache(), s.ModuleCache)
	require.Equal(t, srv.host.Sandbox(), s.Sandbox)
	require.Equal(t, srv.host.Exposed(), s.Exposed)
	require.Equal(t, srv.host.ModuleSandbox(), s.ModuleSandbox)
	require.Equal(t, map[string]api.Peer{
		"b": {Host: "b", Port: 1, Healthy: true, Health: "healthy", LastSeen: asOf.Unix(), Behind: 7, ClockOff: clock.Duration(48 * time.Hour), Unproven: true, Breaches: 3, LastBreach: last, TakesNone: "no place for files"},
	}, s.PeerBrokers)
	require.Equal(t, "it is about to leave", takesNone(&wire.Metadata{Draining: true, Withdrawn: "no place for files"}, false, false))
	require.Equal(t, "an operator has drained it", takesNone(&wire.Metadata{}, false, true), "it has not heard of it yet")
	require.Empty(t, takesNone(&wire.Metadata{}, false, false))

	o.Stats.Running, o.Stats.Waiting = 2, 3
	require.Equal(t, &api.Here{Running: 2, Queued: 3}, srv.coordination().Here, "whoever owns them")

	list := srv.members()
	require.Len(t, list, 2)
	require.Equal(t, clock.Duration(-time.Hour), list[0].ClockOff)
	require.True(t, list[0].Unproven)
	require.Equal(t, clock.Duration(48*time.Hour), list[1].ClockOff)
	require.True(t, list[1].Unproven)
	require.EqualValues(t, 3, list[1].Breaches)
	require.Equal(t, last, list[1].LastBreach)

	o.Unproven = ""
	require.False(t, srv.coordination().Unproven)
	require.False(t, srv.members()[0].Unproven, "a cluster of its own needs no proof, whatever its metadata say")
}
