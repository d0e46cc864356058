package httpd

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/identity"
)

// need is what a route asks of its caller, where the broker belongs to a city.
type need []identity.Role

// What routes ask for.
var (
	nothing  = need{}
	aMember  = need{identity.Client, identity.Operator, identity.Broker}
	operator = need{identity.Operator}
	aBroker  = need{identity.Broker}
)

// needs says of every route what it asks for; a route that is not here can't be called.
var needs = map[string]need{
	"POST /broker/sync-metadata":          aBroker,
	"GET /broker/coordination-status":     aMember,
	"GET /broker/metadata":                aMember,
	"GET /broker/digest":                  aMember,
	"GET /v1/members":                     aMember,
	"DELETE /v1/members/{name}":           operator,
	"PUT /v1/members/{name}/drain":        operator,
	"DELETE /v1/members/{name}/drain":     operator,
	"POST /v1/jobs":                       aMember,
	"POST /v1/jobs:batch":                 aMember,
	"PUT /v1/jobs/{id}":                   aMember,
	"GET /v1/jobs":                        aMember,
	"GET /v1/jobs/{id}":                   aMember,
	"DELETE /v1/jobs/{id}":                aMember,
	"GET /v1/jobs/{id}/stdout":            aMember,
	"GET /v1/jobs/{id}/stderr":            aMember,
	"GET /v1/jobs/{id}/result":            aMember,
	"GET /v1/jobs/{id}/outputs/{path...}": aMember,
	"PUT /v1/blobs/{digest}":              aMember,
	"GET /v1/blobs/{digest}":              aMember,
	"GET /v1/strategy":                    aMember,
	"PUT /v1/strategy":                    operator,
	"GET /v1/conflicts":                   aMember,
	"GET /v1/conflicts/{id}":              aMember,
	"GET /broker/conflict-statistics":     aMember,
	"GET /v1/emergencies":                 aMember,
	"POST /v1/emergencies":                operator,
	"GET /v1/emergencies/{id}":            aMember,
	"DELETE /v1/emergencies/{id}":         operator,
	"GET /v1/events":                      aMember,
	"GET /v1/jobs/{id}/events":            aMember,
	"GET /broker/debug":                   operator,
	"GET /v1/log-level":                   aMember,
	"GET /v1/audit":                       operator,
	"PUT /v1/log-level":                   operator,
	"GET /metrics":                        aMember,
	"/":                                   aMember, // what there is not
	"POST /v1/invites":                    operator,
	"POST /v1/admissions":                 nothing, // but a ticket
	"GET /v1/authorities":                 aMember,
	"POST /v1/authorities":                operator,
	"DELETE /v1/authorities/{key}":        operator,
	"POST /v1/revocations":                operator,
	"GET /healthz":                        nothing,
	"GET /readyz":                         nothing,
}

// caller is who is at the other side of a connection.
type caller struct {
	conn *tls.Conn
	once sync.Once
	cred *identity.Credential // nil for nobody
}

// shown is what the caller has shown, nil if nothing. The handshake is over, and has verified it.
func (c *caller) shown() *identity.Credential {
	c.once.Do(func() {
		state := c.conn.ConnectionState()
		c.cred, _ = identity.CredentialOf(&state)
	})
	return c.cred
}

type callerKey struct{}

// callerOf is what the caller of a request has shown; nil is nobody, or that the broker belongs to no city.
func callerOf(r *http.Request) *identity.Credential {
	c, _ := r.Context().Value(callerKey{}).(*caller)
	if c == nil {
		return nil
	}
	return c.shown()
}

// withCaller notes in the context of a connection's requests who is at its other side.
func withCaller(ctx context.Context, conn net.Conn) context.Context {
	if secure := secureConn(conn); secure != nil {
		return context.WithValue(ctx, callerKey{}, &caller{conn: secure})
	}
	return ctx
}

// secureConn is the TLS of a connection; nil where it has none.
func secureConn(conn net.Conn) *tls.Conn {
	if b, ok := conn.(*begun); ok {
		conn = b.Conn
	}
	secure, _ := conn.(*tls.Conn)
	return secure
}

// track ends connections whose other side belongs to the city no more.
func (srv *Server) track(conn net.Conn, s http.ConnState) {
	srv.limiter.state(conn, s)
	if srv.cfg.City == nil {
		return
	}
	secure := secureConn(conn)
	switch {
	case secure == nil:
	case s == http.StateActive: // its handshake is over
		srv.cfg.City.Track(secure)
	case s == http.StateClosed || s == http.StateHijacked:
		srv.cfg.City.Untrack(secure)
	}
}

// permitted refuses, before anything of it is read, a request whose caller is not what its route asks for.
func (srv *Server) permitted(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(srv.wrap(func(w http.ResponseWriter, r *http.Request) error {
		if err := srv.permit(pattern, r); err != nil {
			w.Header().Set("Connection", "close")
			return err
		}
		next.ServeHTTP(w, r)
		return nil
	}))
}

func (srv *Server) permit(pattern string, r *http.Request) error {
	if srv.cfg.City == nil {
		return nil
	}
	want, known := needs[pattern]
	if known && len(want) == 0 {
		return nil
	}
	c := callerOf(r)
	if c == nil {
		return fail(http.StatusForbidden, api.CodeForbidden,
			"this broker belongs to a city, and answers its members only: get an invite from one of its operators (`ucp cluster invite --role client`), and say `ucp login CODE`")
	}
	if err := srv.cfg.City.Stands(c); err != nil {
		return fail(http.StatusForbidden, api.CodeForbidden, "%v", err)
	}
	if !slices.Contains(want, c.Admission.Role) {
		return fail(http.StatusForbidden, api.CodeForbidden, "%s is %s of this city, and this is for %s", c.Admission.Name, a(c.Admission.Role), want)
	}
	return nil
}

// String lists the roles.
func (n need) String() string {
	text := ""
	for i, role := range n {
		if i > 0 {
			text += " and "
		}
		text += string(role) + "s"
	}
	return text
}

// a is a role with its article.
func a(role identity.Role) string {
	if role == identity.Operator {
		return "an operator"
	}
	return "a " + string(role)
}
