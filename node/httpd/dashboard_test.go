package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/node/httpd/ui"
)

// The dashboard's files are for everybody, also in a city, and say what they may do in a browser; no other answer may do anything there.
func TestOnlyTheDashboardIsAPage(t *testing.T) {
	srv, _ := inCity(t)
	h := srv.http.Handler
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := with(t, http.MethodGet, path, nil)
		r.Host = "10.77.0.1:8000"
		h.ServeHTTP(w, r)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), path)
		return w
	}
	w := ask("/ui/")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Equal(t, ui.Policy, w.Header().Get("Content-Security-Policy"))
	require.Contains(t, w.Body.String(), "<!doctype html>")
	w = ask("/")
	require.Equal(t, "/ui/", w.Header().Get("Location"))
	require.Equal(t, "/ui/", ask("/ui").Header().Get("Location"))
	for path, status := range map[string]int{"/ui/nothing.js": http.StatusNotFound, "/ui/../static": http.StatusTemporaryRedirect, "/v1/members": http.StatusForbidden, "/healthz": http.StatusOK} {
		w = ask(path)
		require.Equal(t, status, w.Code, path)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "sandbox", path)
	}
}

// Who asks is told what they may; who shows nothing to the broker of a city, or a token of another one, why they may nothing.
func TestCaller(t *testing.T) {
	srv, _ := inCity(t)
	ask := func(srv *Server, token *access.Token) (c api.Caller) {
		w := httptest.NewRecorder()
		require.NoError(t, srv.handleCaller(w, with(t, http.MethodGet, "/v1/caller", token)))
		require.Equal(t, http.StatusOK, w.Code)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &c), w.Body.String())
		return c
	}
	nobody := ask(srv, nil)
	require.Equal(t, api.Caller{Scopes: []string{}, City: true, Why: nobody.Why}, nobody)
	require.Contains(t, nobody.Why, "belongs to a city")
	everybody := ask(&Server{cfg: Config{Name: "a"}}, nil)
	require.Equal(t, api.Caller{Scopes: []string{"read", "submit", "cancel", "operate", "emergency:critical", "admit", "peer"}}, everybody)
	good := ask(srv, tokenOf(t, operatorOf(t, srv, "kim"), "duty", "read,emergency:high"))
	require.Equal(t, []string{"read", "emergency:high"}, good.Scopes)
	require.Equal(t, "duty", good.Name)
	other, _ := inCity(t)
	bad := ask(srv, tokenOf(t, operatorOf(t, other, "zoe"), "zoe", "read"))
	require.Empty(t, bad.Scopes, "of another city")
	require.NotEmpty(t, bad.Why)
}

// viewHost is healthHost with one more broker, which says how it sees the others.
type viewHost struct {
	*healthHost
	says  func() (io.ReadCloser, error)
	asked int
}

func (h *viewHost) Follow(_ context.Context, name, path string) (io.ReadCloser, error) {
	h.asked++
	if name != "b" || path != "/broker/coordination-status" {
		return nil, errors.New("it asks for " + path + " of " + name)
	}
	return h.says()
}

func (h *viewHost) Leaving() context.Context { return context.Background() }

// All views together show who hears whom; of one that says nothing, or nonsense, or too much, it is said that it does not tell. Many who
// look at once ask once.
func TestViews(t *testing.T) {
	now := asOf
	h := &viewHost{healthHost: &healthHost{member: membership.Member{Name: "b", HTTPAddr: "b:1", Status: membership.Alive}, contact: Contact{Seen: asOf, Answered: asOf}}}
	srv := &Server{cfg: Config{Name: "a", SyncInterval: time.Minute, Now: func() time.Time { return now }}, host: h}
	look := func() (v api.Views) {
		w := httptest.NewRecorder()
		require.NoError(t, srv.handleViews(w, httptest.NewRequest(http.MethodGet, "/broker/views", nil)))
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
		return v
	}
	h.says = func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(`{"peer_brokers":{"a":{"healthy":false,"health":"silent for 31s","behind":7,"rtt":"3ms","new":1}},"held_back":2,"held_back_by":["c"]}`)), nil
	}
	v := look()
	require.Equal(t, api.PeerView{Healthy: true, Health: "healthy", LastSeen: asOf.Unix(), RTT: clock.Duration(1235 * time.Microsecond)}, v.Views["a"].Peers["b"])
	require.Equal(t, api.PeerView{Health: "silent for 31s", Behind: 7, RTT: clock.Duration(3 * time.Millisecond)}, v.Views["b"].Peers["a"])
	require.Equal(t, []string{"c"}, v.Views["b"].HeldBackBy)
	require.Empty(t, v.Silent)
	look()
	require.Equal(t, 1, h.asked, "within a second")

	for _, says := range []func() (io.ReadCloser, error){
		func() (io.ReadCloser, error) { return nil, errors.New("no") },
		func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("[1]")), nil },
		func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(`{"name":"` + strings.Repeat("x", maxView) + `"}`)), nil
		},
	} {
		h.says = says
		now = now.Add(2 * viewsFor)
		v = look()
		require.NotContains(t, v.Views, "b")
		require.Equal(t, "does not say how it sees the others", v.Silent["b"])
	}
	h.contact = Contact{}
	h.member.Status = membership.Failed
	asked := h.asked
	now = now.Add(2 * viewsFor)
	require.Contains(t, look().Silent["b"], "silent")
	require.Equal(t, asked, h.asked, "who is not heard is not asked")
}
