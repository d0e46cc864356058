package httpd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/membership"
)

// askedHost is a node whose peer answers, or does not, when it is asked.
type askedHost struct {
	healthHost
	answers bool
	asked   int
}

func (h *askedHost) Ask(context.Context) map[string]bool {
	h.asked++
	if h.answers {
		return map[string]bool{"b": true}
	}
	return nil
}

// Answers say whom the broker does not hear. That somebody has just fallen silent is known where all were asked.
func TestAnswersSayWhomTheBrokerDoesNotHear(t *testing.T) {
	for name, c := range map[string]struct {
		ask, answers bool
		contact      Contact
		reach        string
		unheard      []string
	}{
		"well, not asked":         {contact: Contact{Seen: asOf}, reach: "a; 2/2"},
		"well, and it answers":    {ask: true, answers: true, contact: Contact{Seen: asOf}, reach: "a; 2/2"},
		"it says nothing now":     {ask: true, contact: Contact{Seen: asOf}, reach: "a; 1/2", unheard: []string{"b; does not answer"}},
		"silent for long":         {contact: Contact{Seen: asOf.Add(-time.Minute)}, reach: "a; 1/2", unheard: []string{"b; silent for 1m0s; gossip still hears it"}},
		"what it says is no line": {contact: Contact{Seen: asOf, Refused: "no\r\nHost: x\x00é"}, reach: "a; 1/2", unheard: []string{`b; refuses us: no\r\nHost: x\x00\u00e9`}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &askedHost{answers: c.answers}
			h.member = membership.Member{Name: "b", Status: membership.Alive, HTTPAddr: "b:1"}
			h.contact, h.proto = c.contact, "1-6"
			srv := &Server{host: h, cfg: Config{Name: "a", Now: func() time.Time { return asOf }, SyncInterval: time.Second}}
			r := httptest.NewRequest("GET", "/v1/jobs", nil)
			if c.ask {
				r.Header.Set(api.AskHeader, "1")
			}
			w := httptest.NewRecorder()
			silent := map[string]bool{}
			require.NoError(t, srv.reached("GET /v1/jobs", func(_ http.ResponseWriter, r *http.Request) error {
				for name := range srv.unheardBy(r) {
					silent[name] = true
				}
				return nil
			})(w, r))
			require.Equal(t, c.reach, w.Header().Get(api.ReachHeader))
			require.Equal(t, c.unheard, w.Header().Values(api.UnheardHeader))
			require.Equal(t, len(c.unheard), len(silent))
			require.Equal(t, c.ask, h.asked == 1)
		})
	}
}

// Who did not answer when a request came, and is heard while that waits, is not said to be silent at its end.
func TestWhoIsHeardWhileARequestWaits(t *testing.T) {
	h := &askedHost{}
	h.member = membership.Member{Name: "b", Status: membership.Alive, HTTPAddr: "b:1"}
	h.contact, h.proto = Contact{Seen: asOf.Add(-time.Second)}, "1-6"
	now := asOf
	srv := &Server{host: h, cfg: Config{Name: "a", Now: func() time.Time { return now }, SyncInterval: time.Second}}
	r := httptest.NewRequest("GET", "/v1/jobs/j", nil)
	r.Header.Set(api.AskHeader, "1")
	require.NoError(t, srv.reached("GET /v1/jobs/{id}", func(_ http.ResponseWriter, r *http.Request) error {
		require.True(t, srv.silent(r)["b"])
		now = now.Add(30 * time.Second)
		require.True(t, srv.silent(r)["b"])
		h.contact.Seen = now
		require.Empty(t, srv.silent(r))
		return nil
	})(httptest.NewRecorder(), r))
}

// Routes that carry content or change something ask nobody.
func TestOtherRoutesDoNotAsk(t *testing.T) {
	h := &askedHost{}
	srv := &Server{host: h}
	r := httptest.NewRequest("GET", "/v1/blobs/x", nil)
	r.Header.Set(api.AskHeader, "1")
	w := httptest.NewRecorder()
	require.NoError(t, srv.reached("GET /v1/blobs/{digest}", func(http.ResponseWriter, *http.Request) error { return nil })(w, r))
	require.Empty(t, w.Header())
	require.Zero(t, h.asked)
	for _, pattern := range tellsReach {
		require.Contains(t, srv.routes(), pattern)
	}
}
