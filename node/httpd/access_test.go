package httpd

import (
	"context"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
)

// inCity makes a server of a broker that belongs to a city, and what a member of that with a name and a role shows.
func inCity(t *testing.T) (*Server, func(name string, role identity.Role) *identity.Credential) {
	f := city.Of(t.TempDir())
	m, err := city.Found(f, nil, city.Founding{Broker: "a", At: time.UnixMilli(5), Keyring: func(path string) error { return os.WriteFile(path, nil, 0o600) }})
	require.NoError(t, err)
	self, err := city.Open(f, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	authority, err := f.Authority("")
	require.NoError(t, err)
	return New(Config{Name: "a", City: self, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, &shownHost{}, nil),
		func(name string, role identity.Role) *identity.Credential {
			a, err := authority.Admit(m.Admission.City, name, m.Key.Public(), role, time.UnixMilli(7), 0)
			require.NoError(t, err)
			return &identity.Credential{Admission: a, Authorities: m.Authorities}
		}
}

// as is a context of requests of who has shown this, nil for nobody.
func as(t *testing.T, cred *identity.Credential) context.Context {
	c := &caller{cred: cred}
	c.once.Do(func() {})
	return context.WithValue(t.Context(), callerKey{}, c)
}

// Every route says what it needs; who has not got it is refused, whoever they are.
func TestEveryRouteSaysWhatItNeeds(t *testing.T) {
	srv, shows := inCity(t)
	routes := append(slices.Collect(maps.Keys(srv.routes())), "GET /metrics", "/")
	require.ElementsMatch(t, routes, slices.Collect(maps.Keys(needs)))

	// What others than brokers and operators may do is listed here once more: a route that is opened by mistake is found.
	open := []string{"POST /v1/admissions", "GET /healthz", "GET /readyz"}
	forClients := append([]string{
		"/", "GET /metrics", "GET /broker/coordination-status", "GET /broker/metadata", "GET /broker/digest", "GET /broker/conflict-statistics",
		"GET /v1/members", "GET /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr", "GET /v1/jobs/{id}/result",
		"GET /v1/jobs/{id}/outputs/{path...}", "GET /v1/jobs/{id}/events", "GET /v1/events", "GET /v1/blobs/{digest}", "GET /v1/strategy",
		"GET /v1/conflicts", "GET /v1/conflicts/{id}", "GET /v1/emergencies", "GET /v1/emergencies/{id}", "GET /v1/log-level", "GET /v1/authorities",
		"POST /v1/jobs", "POST /v1/jobs:batch", "PUT /v1/jobs/{id}", "DELETE /v1/jobs/{id}", "PUT /v1/blobs/{digest}",
	}, open...)
	const messages = "POST /broker/sync-metadata"
	other, _ := inCity(t)
	for _, pattern := range append(routes, "GET /v2/unheard-of") {
		permit := func(s *Server, cred *identity.Credential) bool {
			return s.permit(pattern, httptest.NewRequestWithContext(as(t, cred), "GET", "/", nil)) == nil
		}
		require.Equal(t, slices.Contains(open, pattern), permit(srv, nil), pattern)
		require.Equal(t, slices.Contains(open, pattern), permit(other, shows("op", identity.Operator)), "%s: of another city", pattern)
		require.Equal(t, slices.Contains(forClients, pattern), permit(srv, shows("c", identity.Client)), pattern)
		require.Equal(t, slices.Contains(forClients, pattern) || pattern == messages, permit(srv, shows("b", identity.Broker)), pattern)
		require.Equal(t, pattern != messages && slices.Contains(routes, pattern), permit(srv, shows("op", identity.Operator)), pattern)
	}
	require.NoError(t, New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, &shownHost{}, nil).
		permit(messages, httptest.NewRequest("POST", "/", nil)), "without a city all is as it was")
}

// A message is from the broker that has sent it (rule X5).
func TestMessagesAreOfTheirSender(t *testing.T) {
	srv, shows := inCity(t)
	r := httptest.NewRequestWithContext(as(t, shows("b", identity.Broker)), "POST", "/broker/sync-metadata", nil)
	for want, m := range map[bool][]wire.Message{
		true:  {{From: "b", Actor: "b~1"}},
		false: {{From: "c", Actor: "c~1"}, {From: "b", Actor: "c~1"}, {From: "c", Actor: "b~1"}, {From: "", Actor: clock.Actor("")}},
	} {
		for _, m := range m {
			require.Equal(t, want, srv.isFrom(r, &m) == nil, "%s, %s", m.From, m.Actor)
		}
	}
}
