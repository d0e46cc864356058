package httpd

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
)

// connection is who is at the other side of a connection.
type connection struct {
	conn *tls.Conn // nil where there is no TLS
	raw  net.Conn
	once sync.Once
	cred *identity.Credential // nil for nobody

	asking sync.Once
	by     *owner // nil where the kernel does not say
}

// shown is what the other side has shown, nil if nothing. The handshake is over, and has verified it.
func (c *connection) shown() *identity.Credential {
	c.once.Do(func() {
		if c.conn == nil {
			return
		}
		state := c.conn.ConnectionState()
		c.cred, _ = identity.CredentialOf(&state)
	})
	return c.cred
}

// owner is whose process is at the other side, as far as the kernel says.
func (c *connection) owner() *owner {
	c.asking.Do(func() { c.by = ownerOf(c.raw) })
	return c.by
}

type connectionKey struct{}

// connected notes in the context of a connection's requests what it is, so that it can be asked who is at its other side.
func connected(ctx context.Context, conn net.Conn) context.Context {
	c := &connection{conn: secureConn(conn), raw: conn}
	if c.conn != nil {
		c.raw = c.conn.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// connectionOf is the connection of a request; nil where that is not known.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// credentialOf is what the other side of a request's connection has shown; nil is nothing.
func credentialOf(r *http.Request) *identity.Credential {
	if c := connectionOf(r); c != nil {
		return c.shown()
	}
	return nil
}

// caller is who sends a request, and what they may.
type caller struct {
	name    string // of a member, or the subject of a token; "" for everybody, where the broker belongs to no city
	how     string // what they are known by, for people; "" where that is nothing
	scopes  access.Scopes
	ownOnly bool // the route answers them for jobs of their own only
}

type callerKey struct{}

// callerOf is who sends a request that was permitted; one that was not is nobody's, who may nothing.
func callerOf(r *http.Request) *caller {
	if c, _ := r.Context().Value(callerKey{}).(*caller); c != nil {
		return c
	}
	return &caller{ownOnly: true}
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

// permitted refuses, before anything of it is read, a request whose caller has not what its route asks for.
func (srv *Server) permitted(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(srv.wrap(func(w http.ResponseWriter, r *http.Request) error {
		c, err := srv.permit(pattern, r)
		if err != nil {
			w.Header().Set("Connection", "close")
			return err
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
		return nil
	}))
}

// permit says who sends a request, or why a route does not answer them.
func (srv *Server) permit(pattern string, r *http.Request) (*caller, error) {
	need, known := access.Needs[pattern]
	if known && need == access.Nothing {
		return &caller{}, nil
	}
	c, err := srv.identify(r)
	if err != nil {
		return nil, err
	}
	met := false
	if met, c.ownOnly = need.Met(c.scopes); !known || !met {
		return nil, fail(http.StatusForbidden, api.CodeForbidden, "%s may %s, and this takes %s", c.how, c.scopes, need)
	}
	return c, nil
}

// identify says who sends a request: by a token, by the certificate of the connection, by what the kernel says of it where
// the broker trusts its own user, or everybody where the broker belongs to no city. Who shows a token has its scopes, whatever
// else they show.
func (srv *Server) identify(r *http.Request) (*caller, error) {
	if srv.cfg.City == nil {
		return &caller{scopes: access.All()}, nil
	}
	if auth, given := r.Header["Authorization"]; given {
		return srv.byToken(strings.Join(auth, ", "))
	}
	cred := credentialOf(r)
	if cred == nil {
		if c := srv.localCaller(connectionOf(r)); c != nil {
			return c, nil
		}
		if c, err := srv.certifiedCaller(r); c != nil || err != nil {
			return c, err
		}
		return nil, fail(http.StatusForbidden, api.CodeForbidden,
			"this broker belongs to a city, and answers its members only: get an invite from one of its operators (`ucp cluster invite --role client`), and say `ucp login CODE`; or show a token (`ucp token create`)")
	}
	if err := srv.cfg.City.Stands(cred); err != nil {
		return nil, fail(http.StatusForbidden, api.CodeForbidden, "%v", err)
	}
	a := cred.Admission
	return &caller{name: a.Name, how: a.Name + " (" + string(a.Role) + ")", scopes: access.OfRole(a.Role)}, nil
}

// certifiedCaller is who shows a certificate of one's own authority, where the broker was told to believe that; nil is nobody. It is looked at with
// each request: such certificates end, and the authority may have been replaced.
func (srv *Server) certifiedCaller(r *http.Request) (*caller, error) {
	c := connectionOf(r)
	if c == nil || c.conn == nil {
		return nil, nil
	}
	state := c.conn.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return nil, nil
	}
	who, err := srv.web().CertifiedOf(&state, srv.cfg.Now())
	if err != nil {
		return nil, fail(http.StatusForbidden, api.CodeForbidden, "%v", err)
	}
	return &caller{name: who.Name, how: who.Name + " (" + string(who.Role) + ", by a certificate)", scopes: access.OfRole(who.Role)}, nil
}

// byToken says who shows a token. It tells nothing of the token itself.
func (srv *Server) byToken(header string) (*caller, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, fail(http.StatusUnauthorized, api.CodeBadToken, "this broker takes tokens only: Authorization: Bearer TOKEN")
	}
	t, known, err := srv.tokens.parse(text)
	if err == nil {
		err = t.Check(srv.cfg.City, srv.cfg.City.Revoked, srv.host.CityTime())
	}
	if err != nil {
		return nil, fail(http.StatusUnauthorized, api.CodeBadToken, "%v", err)
	}
	if !known {
		srv.tokens.keep(text, t)
	}
	return &caller{name: t.Subject(), how: t.String(), scopes: t.Scopes()}, nil
}

// tokens remembers tokens that were verified: their signatures take a third of a millisecond.
type tokens struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]*access.Token // by the hash of their text
}

// maxTokens bounds how many tokens are remembered.
const maxTokens = 1024

// parse reads a token, and says whether it was kept.
func (k *tokens) parse(text string) (t *access.Token, known bool, err error) {
	if len(text) <= access.MaxText { // a longer one is not hashed
		sum := sha256.Sum256([]byte(text))
		k.mu.Lock()
		t = k.seen[sum]
		k.mu.Unlock()
		if t != nil {
			return t, true, nil
		}
	}
	t, err = access.Parse(text)
	return t, false, err
}

// keep remembers a token that holds: whoever has none can't push others out.
func (k *tokens) keep(text string, t *access.Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen == nil || len(k.seen) == maxTokens {
		k.seen = map[[sha256.Size]byte]*access.Token{}
	}
	k.seen[sha256.Sum256([]byte(text))] = t
}

// mayTouch refuses a job of somebody else to a caller whom a route answers for their own only.
func (c *caller) mayTouch(r *job.Record) error {
	if !c.ownOnly || c.name != "" && r.Spec.Submitter == c.name {
		return nil
	}
	if r.IsStub() {
		return fail(http.StatusForbidden, api.CodeForbidden, "nobody knows any more who has submitted job %s, since its retention is over, and %s may %s only", r.ID, c.how, c.scopes)
	}
	return fail(http.StatusForbidden, api.CodeForbidden, "job %s is not one that %s has submitted, and %s may %s only", r.ID, c.name, c.how, c.scopes)
}

// submits writes into a spec who submits it, or refuses it.
func (c *caller) submits(s *job.Spec) error {
	if err := c.mayClaim(s); err != nil {
		return err
	}
	if err := s.SetSubmitter(c.name); err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%v", err)
	}
	return nil
}

// mayRead refuses a job that would read what somebody else's has left, to a caller who may see their own only: what a job reads it can
// print. What is read must therefore be known here.
func (srv *Server) mayRead(ctx context.Context, c *caller, s *job.Spec) error {
	if c.scopes.Has(access.Read) {
		return nil
	}
	for _, from := range s.Sources() {
		if name, isData := from.Job.Data(); isData {
			return fail(http.StatusForbidden, api.CodeForbidden, "it reads data %s, which takes the scope read; %s may %s only", name, c.how, c.scopes)
		}
		f, err := srv.await(ctx, string(from.Job), 0, causal.Context{})
		if err != nil {
			return err
		}
		if c.name == "" || f.Record.ID != from.Job || f.Record.Spec.Submitter != c.name {
			return fail(http.StatusForbidden, api.CodeForbidden, "it reads %s, and job %s is not one that %s has submitted: %s may %s only", from, from.Job, c.name, c.how, c.scopes)
		}
	}
	return nil
}

// mayClaim refuses a job that claims, by the name of a level, more than its submitter may declare. One that names an emergency
// has the level that somebody has declared who may.
func (c *caller) mayClaim(s *job.Spec) error {
	level := job.Level(s.Priority.Emergency)
	if level <= c.scopes.Level() {
		return nil
	}
	return fail(http.StatusForbidden, api.CodeForbidden, "priority.emergency: %s may %s, and a job that claims the level %s takes emergency:%[3]s; name the emergency that it is for instead, by its ID or type",
		c.how, c.scopes, s.Priority.Emergency)
}

// mayDeclare refuses an emergency of a level that the caller may not deal with.
func (c *caller) mayDeclare(level int) error {
	if level <= c.scopes.Level() {
		return nil
	}
	return fail(http.StatusForbidden, api.CodeForbidden, "%s may %s, and this takes emergency:%s", c.how, c.scopes, job.LevelName(level))
}
