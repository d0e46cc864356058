package httpd

import (
	"net/http"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// Between brokers, every request says which actor it is for, and every answer which actor gives it
// (rule X3): an address may have passed to another broker, or to another start of the same one, and what
// that one holds must not be taken for a copy that the first one holds.
const (
	toHeader    = "X-UCP-To"
	actorHeader = "X-UCP-Actor"
)

// Address says in a request which actor it is for. One whose actor is not known is addressed by its name.
func Address(r *http.Request, name string, actor clock.Actor) {
	if actor == "" {
		actor = clock.Actor(name)
	}
	r.Header.Set(toHeader, string(actor))
}

// AnsweredBy is the actor that has answered, and whether that is the one to whom the request was addressed.
// An answer of a version that does not say so counts as its.
func AnsweredBy(r *http.Response) (actor clock.Actor, right bool) {
	actor = clock.Actor(r.Header.Get(actorHeader))
	return actor, actor == "" || isFor(r.Request, actor)
}

// isFor reports whether a request is for this actor. Clients address nobody.
func isFor(r *http.Request, actor clock.Actor) bool {
	to := clock.Actor(r.Header.Get(toHeader))
	return to == "" || to == actor || to == clock.Actor(actor.Broker())
}

// ofBroker reports whether a broker has sent a request, as far as it says so itself.
func ofBroker(r *http.Request) bool { return r.Header.Get(toHeader) != "" }

// addressed refuses requests that are for another broker, before anything of them is read.
func (srv *Server) addressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(actorHeader, string(srv.host.Actor()))
		if srv.cfg.City != nil {
			if sum := srv.cfg.City.RevocationsSum(); sum != "" {
				w.Header().Set(api.RevocationsHeader, sum)
			}
		}
		if isFor(r, srv.host.Actor()) {
			srv.sayUnanswered(w, r)
			next.ServeHTTP(w, r)
			return
		}
		srv.metrics.refused(api.CodeMisdirected)
		writeJSON(w, http.StatusMisdirectedRequest, fail(http.StatusMisdirectedRequest, api.CodeMisdirected,
			"this is %s, not %.150s: its address has changed hands", srv.host.Actor(), r.Header.Get(toHeader)))
	})
}
