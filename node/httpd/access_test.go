package httpd

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
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

// as is a context of requests over a connection whose other side has shown this, nil for nothing.
func as(t *testing.T, cred *identity.Credential) context.Context {
	c := &connection{cred: cred}
	c.once.Do(func() {})
	return context.WithValue(t.Context(), connectionKey{}, c)
}

// operatorOf makes an operator of a server's city, who can make tokens.
func operatorOf(t *testing.T, srv *Server, name string) *identity.Member {
	authority, err := srv.cfg.City.Folder().Authority("")
	require.NoError(t, err)
	key, err := identity.NewKey(rand.Reader)
	require.NoError(t, err)
	of := srv.cfg.City.Authorities()
	a, err := authority.Admit(of.City(), name, key.Public(), identity.Operator, time.UnixMilli(7), 0)
	require.NoError(t, err)
	return &identity.Member{Key: key, Admission: a, Authorities: of}
}

// tokenOf makes a token, for an hour from now on.
func tokenOf(t *testing.T, by *identity.Member, subject, scopes string) *access.Token {
	s, err := access.ParseScopes(scopes)
	require.NoError(t, err)
	token, err := access.Issue(by, access.Grant{Subject: subject, Scopes: s, TTL: time.Hour}, time.Now())
	require.NoError(t, err)
	return token
}

// with is a request that shows a token.
func with(t *testing.T, method, target string, token *access.Token) *http.Request {
	r := httptest.NewRequestWithContext(as(t, nil), method, target, nil)
	if token != nil {
		r.Header.Set("Authorization", "Bearer "+token.Text())
	}
	return r
}

// Every route says what it needs; who has not got it is refused, whoever they are.
func TestEveryRouteSaysWhatItNeeds(t *testing.T) {
	srv, shows := inCity(t)
	routes := append(slices.Collect(maps.Keys(srv.routes())), "GET /metrics", "/")
	require.ElementsMatch(t, routes, slices.Collect(maps.Keys(access.Needs)))

	// What each scope gives is listed here once more: a route that is opened by mistake is found. With = it gives what is of
	// the caller's own.
	gives := map[string][]string{
		"": {"POST /v1/admissions", "GET /healthz", "GET /readyz", "GET /v1/caller", "GET /ui/{path...}", "GET /{$}", "GET /v1/openapi.yaml"},
		"read": {
			"GET /metrics", "GET /broker/coordination-status", "GET /broker/metadata", "GET /broker/views", "GET /broker/digest", "GET /broker/conflict-statistics",
			"GET /v1/members", "GET /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr", "GET /v1/jobs/{id}/result",
			"GET /v1/jobs/{id}/outputs/{path...}", "GET /v1/jobs/{id}/events", "GET /v1/events", "GET /v1/blobs/{digest}/chunks", "GET /v1/blobs/{digest}", "GET /v1/strategy",
			"GET /v1/conflicts", "GET /v1/conflicts/{id}", "GET /v1/emergencies", "GET /v1/emergencies/{id}", "GET /v1/log-level", "GET /v1/authorities", "GET /v1/data/{name...}",
		},
		"submit": {
			"POST /v1/jobs", "POST /v1/jobs:batch", "PUT /v1/jobs/{id}", "POST /v1/plans", "PUT /v1/blobs/{digest}", "PUT /v1/data/{name...}", "GET /v1/recipients", "=GET /v1/jobs", "=GET /v1/jobs/{id}", "=DELETE /v1/jobs/{id}", "=GET /v1/jobs/{id}/stdout",
			"=GET /v1/jobs/{id}/stderr", "=GET /v1/jobs/{id}/result", "=GET /v1/jobs/{id}/outputs/{path...}", "=GET /v1/jobs/{id}/events", "=GET /v1/blobs/{digest}",
		},
		"cancel": {"DELETE /v1/jobs/{id}", "DELETE /v1/data/{name...}"},
		"operate": {
			"DELETE /v1/members/{name}", "PUT /v1/members/{name}/drain", "DELETE /v1/members/{name}/drain", "PUT /v1/strategy", "GET /broker/debug",
			"PUT /v1/log-level", "GET /v1/audit", "POST /v1/carry/pack", "POST /v1/carry/unpack",
		},
		"emergency:low": {"POST /v1/emergencies", "DELETE /v1/emergencies/{id}"},
		"admit":         {"POST /v1/invites", "POST /v1/authorities", "DELETE /v1/authorities/{key}", "POST /v1/revocations"},
		"peer":          {"POST /broker/sync-metadata", "GET /broker/keyring", "POST /broker/secrets", "GET /broker/sheets", "GET /broker/word", "POST /broker/word"},
	}
	roles := map[identity.Role][]string{identity.Client: {"read", "submit"}, identity.Broker: {"read", "submit", "peer"},
		identity.Operator: {"read", "submit", "cancel", "operate", "emergency:low", "admit"}}
	// expect says whether a route answers who has these scopes: 0 no, 1 for jobs of their own, 2 yes.
	expect := func(pattern string, scopes ...string) int {
		if slices.Contains(gives[""], pattern) || slices.Contains([]string{"/", "GET /v1/revocations"}, pattern) && len(scopes) > 0 {
			return 2
		}
		out := 0
		for _, s := range scopes {
			if slices.Contains(gives[s], pattern) {
				return 2
			}
			if slices.Contains(gives[s], "="+pattern) {
				out = 1
			}
		}
		return out
	}
	got := func(s *Server, pattern string, r *http.Request) int {
		c, err := s.permit(pattern, r)
		switch {
		case err != nil:
			require.Nil(t, c)
			return 0
		case c.ownOnly:
			return 1
		}
		return 2
	}
	other, _ := inCity(t)
	by := operatorOf(t, srv, "anna")
	for _, pattern := range append(routes, "GET /v2/unheard-of") {
		shown := func(cred *identity.Credential) *http.Request {
			return httptest.NewRequestWithContext(as(t, cred), "GET", "/", nil)
		}
		require.Equal(t, expect(pattern), got(srv, pattern, shown(nil)), "%s: nobody", pattern)
		require.Equal(t, expect(pattern), got(other, pattern, shown(shows("op", identity.Operator))), "%s: of another city", pattern)
		for role, scopes := range roles {
			require.Equal(t, expect(pattern, scopes...), got(srv, pattern, shown(shows("m", role))), "%s: %s", pattern, role)
		}
		for _, scope := range []string{"read", "submit", "cancel", "operate", "emergency:low"} {
			token := tokenOf(t, by, "ci", scope)
			require.Equal(t, expect(pattern, scope), got(srv, pattern, with(t, "GET", "/", token)), "%s: a token for %s", pattern, scope)
			require.Equal(t, expect(pattern), got(other, pattern, with(t, "GET", "/", token)), "%s: a token for %s in another city", pattern, scope)
		}
		all := tokenOf(t, by, "ci", access.Grantable().String())
		require.Equal(t, expect(pattern, "read", "submit", "cancel", "operate", "emergency:low"), got(srv, pattern, with(t, "GET", "/", all)), "%s: a token for all", pattern)
	}
	c, err := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, &shownHost{}, nil).
		permit("POST /broker/sync-metadata", httptest.NewRequest("POST", "/", nil))
	require.NoError(t, err, "without a city all is as it was")
	require.Empty(t, c.name)
}

// docs/api.md says of each route what it takes.
func TestAPIDocNeeds(t *testing.T) {
	for _, row := range docRoutes(t) {
		need, want := access.Needs[row.pattern], "nothing"
		if need.Scope != "" {
			want = "`" + string(need.Scope) + "`"
		}
		if need.Own {
			want += " or own"
		}
		require.Equal(t, want, row.takes, row.pattern)
	}
}

// A token counts for what it says, and for nothing that its holder shows beside it.
func TestTokensInRequests(t *testing.T) {
	srv, shows := inCity(t)
	by := operatorOf(t, srv, "anna")
	token := tokenOf(t, by, "ci", "read")
	ask := func(r *http.Request) *api.Error {
		_, err := srv.permit("GET /v1/members", r)
		if err == nil {
			return &api.Error{Status: http.StatusOK}
		}
		return srv.asError(err)
	}
	require.Equal(t, http.StatusOK, ask(with(t, "GET", "/", token)).Status)
	require.Equal(t, http.StatusOK, ask(with(t, "GET", "/", token)).Status, "it is remembered")

	r := with(t, "PUT", "/", token)
	r = r.WithContext(as(t, shows("op", identity.Operator)))
	_, err := srv.permit("PUT /v1/strategy", r)
	require.ErrorContains(t, err, "ci (token "+token.ID()+" by anna) may read, and this takes the scope operate", "an operator who shows a token has its scopes")

	for name, header := range map[string][]string{
		"empty": {""}, "another scheme": {"Basic " + token.Text()}, "no scheme": {token.Text()}, "twice": {"Bearer " + token.Text(), "Bearer " + token.Text()},
		"damaged": {"Bearer " + token.Text()[:40]}, "too long": {"Bearer " + strings.Repeat("x", access.MaxText+1)},
	} {
		r := with(t, "GET", "/", nil)
		r.Header["Authorization"] = header
		e := ask(r)
		require.Equal(t, http.StatusUnauthorized, e.Status, name)
		require.Equal(t, api.CodeBadToken, e.Code, name)
		require.NotContains(t, e.Message, token.Text()[5:40], name)
	}
	// Time and revocation are looked at with each request, also of a token that is remembered.
	at := time.Now().Add(2 * time.Hour)
	srv.host.(*shownHost).at = func() time.Time { return at }
	require.Contains(t, ask(with(t, "GET", "/", token)).Message, "has expired")
	at = time.UnixMilli(5)
	require.Contains(t, ask(with(t, "GET", "/", token)).Message, "clocks is wrong")
}

// Who tries tokens that do not hold pushes out none that do, and the memory of them is bounded.
func TestTokensAreRemembered(t *testing.T) {
	srv, _ := inCity(t)
	other, _ := inCity(t)
	good, bad := tokenOf(t, operatorOf(t, srv, "anna"), "ci", "read"), tokenOf(t, operatorOf(t, other, "eve"), "ci", "read")
	for _, token := range []*access.Token{good, bad} {
		_, _ = srv.permit("GET /v1/members", with(t, "GET", "/", token))
	}
	require.Len(t, srv.tokens.seen, 1)
	for i := range 2 * maxTokens {
		srv.tokens.keep(strconv.Itoa(i), good)
		require.LessOrEqual(t, len(srv.tokens.seen), maxTokens)
	}
	// One that is remembered pushes nothing out either, as often as it is shown.
	srv.tokens.seen = nil
	for i := range maxTokens - 1 {
		srv.tokens.keep(strconv.Itoa(i), good)
	}
	for range 3 {
		_, err := srv.permit("GET /v1/members", with(t, "GET", "/", good))
		require.NoError(t, err)
		require.Len(t, srv.tokens.seen, maxTokens)
	}
}

// What a caller may do with a job is decided by who has submitted it.
func TestJobsAreTheirSubmitters(t *testing.T) {
	of := func(name string) *job.Record { return &job.Record{ID: "j1", Spec: job.Spec{Submitter: name}} }
	own, all := &caller{name: "ci", ownOnly: true}, &caller{name: "ci"}
	require.NoError(t, own.mayTouch(of("ci")))
	require.ErrorContains(t, own.mayTouch(of("kim")), "job j1 is not one that ci has submitted")
	require.Error(t, own.mayTouch(of("")), "of before there were names, or of a broker that belonged to no city")
	require.ErrorContains(t, own.mayTouch(&job.Record{ID: "j1", Stub: "00"}), "its retention is over")
	require.NoError(t, all.mayTouch(of("kim")))
	require.Error(t, callerOf(httptest.NewRequest("GET", "/", nil)).mayTouch(of("")), "who was not permitted at all may nothing")
}

// Each job of a batch is of who submits it, whatever its line says.
func TestABatchIsItsSubmitters(t *testing.T) {
	srv, _ := inCity(t)
	b := &batch{by: &caller{name: "ci"}}
	_, refused := srv.prepare(t.Context(), []byte(`{"id":"j1","spec":{"command":"true","submitter":"kim"}}`), b, 0)
	require.Nil(t, refused)
	_, refused = srv.prepare(t.Context(), []byte(`{"id":"j2","spec":{"command":"true","priority":{"emergency":"high"}}}`), b, 1)
	require.Equal(t, api.CodeForbidden, refused.Code)
	require.Len(t, b.jobs, 1)
	require.Equal(t, "ci", b.jobs[0].Spec.Submitter)
	require.Equal(t, b.jobs[0].Spec.Digest(), b.jobs[0].Digest)
	b.by = &caller{scopes: access.All()}
	_, refused = srv.prepare(t.Context(), []byte(`{"id":"j1","spec":{"command":"true","submitter":"kim"}}`), b, 0)
	require.Nil(t, refused)
	require.Empty(t, b.jobs[1].Spec.Submitter, "without a city nobody is told apart")
}

// A level is claimed by those who may declare one.
func TestLevelsAreClaimedUpToOnesOwn(t *testing.T) {
	s, err := access.ParseScopes("submit,emergency:medium")
	require.NoError(t, err)
	c := &caller{scopes: s}
	for name, want := range map[string]bool{"": true, "none": true, "low": true, "medium": true, "high": false, "critical": false, "flood-7": true} {
		require.Equal(t, want, c.mayClaim(&job.Spec{Priority: job.Priority{Emergency: name}}) == nil, name)
	}
	require.Error(t, (&caller{}).mayClaim(&job.Spec{Priority: job.Priority{Emergency: "low"}}))
}

// A message is from the broker that has sent it (rule X5).
func TestMessagesAreOfTheirSender(t *testing.T) {
	srv, shows := inCity(t)
	r := httptest.NewRequestWithContext(as(t, shows("b", identity.Broker)), "POST", "/broker/sync-metadata", nil)
	c, err := srv.permit("POST /broker/sync-metadata", r)
	require.NoError(t, err)
	r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
	for want, m := range map[bool][]wire.Message{
		true:  {{From: "b", Actor: "b~1"}},
		false: {{From: "c", Actor: "c~1"}, {From: "b", Actor: "c~1"}, {From: "c", Actor: "b~1"}, {From: "", Actor: clock.Actor("")}},
	} {
		for _, m := range m {
			require.Equal(t, want, srv.isFrom(r, &m) == nil, "%s, %s", m.From, m.Actor)
		}
	}
}
