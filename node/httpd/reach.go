package httpd

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/urban-compute/ucp/api"
)

// What a broker answers is what it knows, and of a broker that it does not hear it knows what it was told last: a job that
// runs there by its record may have ended, data may have a later version, it may be gone itself. So these answers say whom it
// does not hear.
var tellsReach = []string{
	"GET /v1/members", "GET /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/data/{name...}", "GET /v1/emergencies", "GET /v1/emergencies/{id}",
	"GET /v1/strategy",
}

// mostUnheard bounds how many brokers an answer names that are not heard; the numbers beside them say how many there are.
const mostUnheard = 20

// unheardKey is where the context of a request holds who was not heard when it came.
type unheardKey struct{}

// missed are brokers that were not heard, with why, as of a time: a request may wait for long after that.
type missed struct {
	at  time.Time
	why map[string]string
}

// reached lets the answers of a route say which brokers this one does not hear. Who asks with AskHeader has them all asked at
// this moment, which takes a second where one says nothing; else it is known some seconds after one has fallen silent.
func (srv *Server) reached(pattern string, h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	if !slices.Contains(tellsReach, pattern) {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		var answered map[string]bool
		at := srv.cfg.Now()
		if r.Header.Get(api.AskHeader) != "" {
			if answered = srv.host.Ask(r.Context()); answered == nil {
				answered = map[string]bool{}
			}
		}
		unheard, all := srv.unheard(answered)
		w.Header().Set(api.ReachHeader, fmt.Sprintf("%s; %d/%d", srv.cfg.Name, all-len(unheard), all))
		for i, name := range slices.Sorted(maps.Keys(unheard)) {
			if i == mostUnheard {
				break
			}
			w.Header().Add(api.UnheardHeader, name+"; "+cutText(unheard[name]))
		}
		return h(w, r.WithContext(context.WithValue(r.Context(), unheardKey{}, missed{at, unheard})))
	}
}

// unheard lists the brokers that take part and that this one does not hear, with why, and how many take part, this one included.
// Of those that seem well only those that have answered count as heard, where they were asked.
func (srv *Server) unheard(answered map[string]bool) (out map[string]string, all int) {
	now := srv.cfg.Now()
	healths := srv.healths(now)
	out = map[string]string{}
	for name, h := range healths {
		switch {
		case h.leaves:
		case h.kind != healthy:
			out[name] = h.text(now)
		case answered != nil && !answered[name]:
			out[name] = "does not answer"
		}
	}
	return out, 1 + len(healths)
}

// unheardBy is who was found not to be heard when a request came, and has not been heard since.
func (srv *Server) unheardBy(r *http.Request) map[string]string {
	m, _ := r.Context().Value(unheardKey{}).(missed)
	if len(m.why) == 0 {
		return nil
	}
	met, _ := srv.host.Contacts()
	out := maps.Clone(m.why)
	maps.DeleteFunc(out, func(name, _ string) bool { return met[name].Seen.After(m.at) })
	return out
}

// cutText makes what peers may have said fit for a header.
func cutText(s string) string {
	const most = 200
	text := fmt.Sprintf("%+q", s)
	text = text[1 : len(text)-1]
	return text[:min(len(text), most)]
}
