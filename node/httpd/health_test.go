package httpd

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/job"
)

// healthHost is a node with one peer, b, of which everything can be set.
type healthHost struct {
	Host
	overview broker.Overview
	member   membership.Member
	contact  Contact
	proto    string
}

func (h *healthHost) RTT(string) (time.Duration, bool) { return 1234567 * time.Nanosecond, true }

func (h *healthHost) DiskFull() string                { return "" }
func (h *healthHost) Overview() *broker.Overview      { return &h.overview }
func (h *healthHost) CityTime() time.Time             { return asOf }
func (h *healthHost) Actor() clock.Actor              { return "a~1" }
func (h *healthHost) Running() bool                   { return true }
func (h *healthHost) ModuleCache() *api.ModuleCache   { return nil }
func (h *healthHost) Troubles() []string              { return nil }
func (h *healthHost) Exposed() []string               { return nil }
func (h *healthHost) WorkerMemory() *api.WorkerMemory { return nil }
func (h *healthHost) Sandbox() *api.Sandbox           { return nil }
func (h *healthHost) ModuleSandbox() *api.Sandbox     { return nil }
func (h *healthHost) Brokers() []membership.Member    { return []membership.Member{h.member} }
func (h *healthHost) Contact(string) Contact          { return h.contact }
func (h *healthHost) Addresses() (string, string)     { return "a:1", "a:2" }
func (h *healthHost) Contacts() (map[string]Contact, time.Time) {
	return map[string]Contact{"b": h.contact}, time.Time{}
}

func (h *healthHost) Members() []gossip.Member {
	return []gossip.Member{{Name: "b", Status: "alive", Tags: map[string]string{ProtocolTag: h.proto}}}
}

// A broker is healthy when messages pass, and it is itself that answers; that gossip calls it alive is not enough. What is
// wrong is said.
func TestHealth(t *testing.T) {
	ago := func(d time.Duration) time.Time { return asOf.Add(-d) }
	for name, x := range map[string]struct {
		change func(*healthHost)
		kind   healthKind
		text   string
	}{
		"messages pass": {func(*healthHost) {}, healthy, "healthy"},
		"one was lost":  {func(h *healthHost) { h.contact.Failing = 1 }, healthy, "healthy"},
		"not heard":     {func(h *healthHost) { h.contact = Contact{} }, unheard, "not heard yet"},
		"gossip only":   {func(h *healthHost) { h.contact = Contact{Failing: 2} }, silent, "silent since this broker's start; gossip still hears it"},
		"no answers": {func(h *healthHost) {
			h.contact.Failing, h.contact.Seen, h.contact.Answered = 2, ago(31*time.Second), ago(31*time.Second)
		}, silent, "silent for 31s; gossip still hears it"},
		"it hears nothing": {func(h *healthHost) { h.contact.Failing, h.contact.Answered = 2, ago(31*time.Second) }, silent, "silent for 31s to our messages, though it sends some"},
		"nobody tried":     {func(h *healthHost) { h.contact.Seen = ago(6 * time.Minute) }, silent, "silent for 6m0s; gossip still hears it"},
		"gone":             {func(h *healthHost) { h.member.Status = membership.Failed }, silent, "silent for 1s"},
		"gone a moment ago": {func(h *healthHost) {
			h.member.Status, h.contact.Seen = membership.Failed, ago(48*time.Second)
			h.overview.Roll = []broker.Enrolled{{Name: "b", Absent: true, Since: ago(5 * time.Second)}}
		}, silent, "silent for 48s; gossip lost it 5s ago"},
		"its messages do not arrive": {func(h *healthHost) { h.contact.Unanswered, h.contact.UnansweredFrom = 7, ago(unansweredFor) },
			unreached, "can't reach this broker at a:1 (7 messages without an answer): is that port open to it?"},
		"it stood still a moment":             {func(h *healthHost) { h.contact.Unanswered, h.contact.UnansweredFrom = 7, ago(unansweredFor-1) }, healthy, "healthy"},
		"an earlier start could not reach us": {func(h *healthHost) { h.contact.Actor, h.contact.Unanswered = "b~0", 7 }, healthy, "healthy"},
		"gone, but it writes":                 {func(h *healthHost) { h.member.Status, h.overview.Proven = membership.Failed, []string{"b"} }, healthy, "healthy"},
		"another one":                         {func(h *healthHost) { h.contact.Stranger = "n1~7" }, stranger, "at its address n1 answers"},
		"another start":                       {func(h *healthHost) { h.contact.Stranger = "b~7" }, stranger, "at its address another start of it answers"},
		"refused":                             {func(h *healthHost) { h.contact.Refused = "the clock is too long" }, refusing, "refuses us: the clock is too long"},
		"of its earlier start":                {func(h *healthHost) { h.contact.Actor, h.contact.Failing, h.contact.Refused = "b~0", 9, "x" }, healthy, "healthy"},
		"of this start":                       {func(h *healthHost) { h.contact.Actor, h.contact.Refused = "b~1", "x" }, refusing, "refuses us: x"},
		"a newer protocol":                    {func(h *healthHost) { h.proto = "10-11" }, foreign, "speaks protocol 10, we speak 9"},
		"the next protocol too":               {func(h *healthHost) { h.proto = "1-11" }, healthy, "healthy"},
		"no address":                          {func(h *healthHost) { h.member.HTTPAddr = "" }, addressless, "names no HTTP address that can be called"},
	} {
		h := &healthHost{
			member:  membership.Member{Name: "b", Actor: "b~1", HTTPAddr: "b:1", Status: membership.Alive},
			contact: Contact{Actor: "b~1", Seen: ago(time.Second), Answered: ago(time.Second)},
		}
		x.change(h)
		srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h}
		got := srv.healths(asOf)["b"]
		require.Equal(t, x.kind, got.kind, name)
		require.Equal(t, x.text, got.text(asOf), name)
		c := srv.coordination()
		require.Equal(t, x.kind == healthy, c.PeerBrokers["b"].Healthy, name)
		require.Equal(t, x.text, c.PeerBrokers["b"].Health, name)
	}
}

// Who is gone and was given up is not missed; who was given up and is there is.
func TestWhoWasGivenUpIsNotMissed(t *testing.T) {
	h := &healthHost{member: membership.Member{Name: "b", HTTPAddr: "b:1", Status: membership.Failed}}
	h.overview.Roll = []broker.Enrolled{{Name: "b"}}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h}
	require.Equal(t, 1, srv.coordination().UnhealthyPeers)
	h.overview.Roll[0].Closed = "removed"
	require.Zero(t, srv.coordination().TotalPeers)
	require.Empty(t, srv.healths(asOf))
	require.True(t, srv.silent(httptest.NewRequest("GET", "/v1/jobs", nil))["b"], "what ran there is not said to run")
	h.member.Status = membership.Alive
	require.Equal(t, 1, srv.coordination().TotalPeers)
}

// A broker says which others decide otherwise than it was just told to: by what was chosen there, not by what an emergency commands.
func TestWhoDecidesOtherwise(t *testing.T) {
	h := &healthHost{member: membership.Member{Name: "b", HTTPAddr: "b:1", Status: membership.Alive}, contact: Contact{Seen: asOf, Answered: asOf}}
	h.overview.State.Metadata = []wire.Metadata{{Name: "b", Strategy: "emergency", Chosen: "causal", Commands: "flood-1"}}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h}
	others, commanded := srv.decideOtherwise("causal")
	require.Empty(t, others)
	require.Empty(t, commanded, "it goes by the same")
	others, commanded = srv.decideOtherwise("emergency")
	require.Equal(t, map[string][]string{"causal": {"b"}}, others)
	require.Equal(t, map[string]string{"b": "flood-1"}, commanded, "for the moment it decides by emergency")
	h.member.Status = membership.Failed
	others, _ = srv.decideOtherwise("emergency")
	require.Empty(t, others, "nobody knows what it does")
}

// Each change is one line in the log and one event, however often it is looked at; that a broker is well from the first is
// none.
func TestHealthChangesAreToldOnce(t *testing.T) {
	var log bytes.Buffer
	h := &healthHost{member: membership.Member{Name: "b", HTTPAddr: "b:1", Status: membership.Alive}}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h, log: slog.New(slog.NewTextHandler(&log, nil)), healthWas: map[string]healthKind{}, tookNone: map[string]bool{}}
	well, away := Contact{Seen: asOf, Answered: asOf}, Contact{Seen: asOf, Answered: asOf, Failing: 3}
	for _, c := range []Contact{{}, well, well, away, away, away, well, well} {
		h.contact = c
		srv.WatchHealth()
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2, log.String())
	require.Contains(t, lines[0], `level=WARN msg=peer name=b health="silent for 0s; gossip still hears it"`)
	require.Contains(t, lines[1], `level=WARN msg=peer name=b health=healthy`)
}

// That a broker which is heard takes no jobs is told once, and once that it takes some again; a drain is told as a drain, and
// of one that is silent nobody knows it.
func TestWhoTakesNoJobsIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	h := &healthHost{member: membership.Member{Name: "b", HTTPAddr: "b:1", Status: membership.Alive}}
	h.overview.State.Metadata = []wire.Metadata{{Name: "a"}, {Name: "b"}}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h, log: slog.New(slog.NewTextHandler(&log, nil)), healthWas: map[string]healthKind{"b": healthy}, tookNone: map[string]bool{}}
	watch := &watcher{wants: func(x broker.Note) bool { return x.Kind == "health" }, queue: make(chan told, 9)}
	_, _, _, ok := srv.hub.add(watch, begin{}, asOf)
	require.True(t, ok)
	well := Contact{Seen: asOf, Answered: asOf}
	for _, x := range []struct {
		contact Contact
		says    wire.Metadata
	}{
		{well, wire.Metadata{}},
		{well, wire.Metadata{Full: true, Withdrawn: wire.DrainedText}},
		{well, wire.Metadata{Full: true}}, {well, wire.Metadata{Full: true}},
		{well, wire.Metadata{Full: true, Draining: true}},
		{well, wire.Metadata{}}, {well, wire.Metadata{}},
		{well, wire.Metadata{Full: true, Withdrawn: "no worker starts"}},
		{Contact{}, wire.Metadata{}},
	} {
		x.says.Name = "b"
		h.contact, h.overview.State.Metadata[1] = x.contact, x.says
		srv.WatchHealth()
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 3, log.String())
	require.Contains(t, lines[0], `level=WARN msg=peer name=b health="takes no jobs: its disk is full"`)
	require.Contains(t, lines[1], `level=WARN msg=peer name=b health="takes jobs again"`)
	require.Contains(t, lines[2], `level=WARN msg=peer name=b health="takes no jobs: no worker starts"`)
	require.Len(t, watch.queue, 3)
	e := (<-watch.queue).event
	require.Equal(t, []string{"b", "takes_none", "b: takes no jobs: its disk is full"}, []string{e.ID, e.What, e.Text})
}

// The metrics count who takes no jobs, as status shows it.
func TestWhoTakesNoJobsIsCounted(t *testing.T) {
	o := &broker.Overview{State: wire.State{Metadata: []wire.Metadata{{Name: "a"}, {Name: "b", Full: true}, {Name: "c"}}}}
	srv := New(Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }, Logger: slog.New(slog.DiscardHandler)}, nil, &shownHost{overview: o, names: []string{"a", "b", "c"}}, nil)
	require.Equal(t, `ucp_peer_takes_no_jobs{peer="b"} 1`, metric(t, srv, `ucp_peer_takes_no_jobs{peer="b"}`))
	require.Equal(t, `ucp_peer_takes_no_jobs{peer="c"} 0`, metric(t, srv, `ucp_peer_takes_no_jobs{peer="c"}`))
	require.Equal(t, `ucp_peer_health{health="healthy",peer="b"} 1`, metric(t, srv, `ucp_peer_health{health="healthy",peer="b"}`))
}

// Of a job at a broker that has left nobody here can say what became of it, as of one at a broker that does not answer.
func TestWhoHasLeftIsSilent(t *testing.T) {
	h := &healthHost{member: membership.Member{Name: "b", Actor: "b~1", Status: membership.Alive, HTTPAddr: "b:8000"}, contact: Contact{Seen: asOf, Answered: asOf}}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h}
	require.Empty(t, srv.silent(httptest.NewRequest("GET", "/v1/jobs", nil)))
	h.contact = Contact{Failing: 2}
	require.Equal(t, map[string]bool{"b": true}, srv.silent(httptest.NewRequest("GET", "/v1/jobs", nil)), "it does not answer")
	h.contact, h.member.Status = Contact{Seen: asOf, Answered: asOf}, membership.Left
	require.Equal(t, map[string]bool{"b": true}, srv.silent(httptest.NewRequest("GET", "/v1/jobs", nil)), "it has left")
	silent := srv.silent(httptest.NewRequest("GET", "/v1/jobs", nil))
	unsure := func(s job.State) bool { return srv.unsure(&api.Job{State: s, Executor: "b"}, silent) }
	require.True(t, unsure(job.StateQueued), "it may have begun it since")
	h.overview.Roll = []broker.Enrolled{{Name: "b", Closed: "left"}}
	require.False(t, unsure(job.StateQueued), "its goodbye came after all that it wrote: it has not begun it")
	require.True(t, unsure(job.StateRunning))
	require.False(t, unsure(job.StateSucceeded))
	h.overview.Roll[0].Closed = "removed"
	require.True(t, unsure(job.StateQueued))
	require.False(t, unsure(job.StatePending), "it is at no broker")
	srv.cfg.Name = "b"
	require.Empty(t, srv.silent(httptest.NewRequest("GET", "/v1/jobs", nil)), "it leaves itself")
}

// That an end waits for the word of others says of whom no word can come, though gossip holds them for alive.
func TestAnEndThatWaitsForASilentBroker(t *testing.T) {
	h := &healthHost{
		member:  membership.Member{Name: "b", Actor: "b~1", HTTPAddr: "b:1", Status: membership.Alive},
		contact: Contact{Actor: "b~1", Seen: asOf.Add(-time.Second), Answered: asOf.Add(-time.Second)},
	}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h}
	f := &broker.Found{Provisional: true, Until: "until b has said that it holds that", Asked: []string{"b"}}
	require.Equal(t, "until b has said that it holds that", srv.provisionalUntil(f))
	h.contact.Failing, h.contact.Seen, h.contact.Answered = 2, asOf.Add(-3*time.Second), asOf.Add(-3*time.Second)
	require.Equal(t, "until b has said that it holds that; but b is silent for 3s (if it is gone for good: `ucp cluster forget b`)", srv.provisionalUntil(f))
	f.Asked = nil
	require.Equal(t, f.Until, srv.provisionalUntil(f), "the text names what it waits for already")
}

// Who can't reach this broker says so in each answer to it, and only to the start that it means.
func TestWhoIsNotReachedIsTold(t *testing.T) {
	h := &healthHost{contact: Contact{Actor: "b~1", Failing: 2}}
	srv := &Server{host: h}
	says := func(from string) uint64 {
		r := httptest.NewRequest("GET", "/healthz", nil)
		From(r, clock.Actor(from))
		w := httptest.NewRecorder()
		srv.sayUnanswered(w, r)
		return Unanswered(w.Result())
	}
	require.EqualValues(t, 2, says("b~1"))
	require.Zero(t, says("b~2"), "that is another start, which was not tried yet")
	require.Zero(t, says(""), "an earlier version does not say who it is")
	h.contact.Failing = 1
	require.Zero(t, says("b~1"))
	for text, want := range map[string]uint64{"": 0, "-1": 0, "x": 0, "99999999999999999999": 0, "18446744073709551615": maxUnanswered} {
		require.Equal(t, want, Unanswered(&http.Response{Header: http.Header{http.CanonicalHeaderKey(unansweredHeader): {text}}}), text)
	}
}

// Of what another broker has named last as in force there, it is said which is not active as far as this one knows: one of the two
// has yet to hear of it.
func TestWhatIsNotActiveHereIsSaid(t *testing.T) {
	h := &healthHost{member: membership.Member{Name: "b", HTTPAddr: "b:1", Status: membership.Alive}}
	h.overview.State.Metadata = []wire.Metadata{{Name: "b", Emergency: wire.InForce{Level: "critical", IDs: []string{"flood-1", "fire-2"}, Count: 2}}}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return asOf }}, host: h}
	shown := func() api.Member {
		t.Helper()
		all := srv.members()
		require.Len(t, all, 1)
		require.Equal(t, []string{"flood-1", "fire-2"}, all[0].Emergencies, "what it has said stays as it is")
		return all[0]
	}
	require.Equal(t, []string{"flood-1", "fire-2"}, shown().Unheard)
	h.overview.Active = []*broker.EmergencyView{{Record: &emergency.Record{ID: "flood-1"}, Active: true}}
	require.Equal(t, []string{"fire-2"}, shown().Unheard)
	h.overview.Active = append(h.overview.Active, &broker.EmergencyView{Record: &emergency.Record{ID: "fire-2"}, Active: true})
	require.Empty(t, shown().Unheard)
}
