package httpd

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/strictjson"
)

// defaultTTL is how long an invite holds unless its operator says otherwise.
const defaultTTL = time.Hour

// noCity is the answer of a broker that belongs to none.
func noCity() error {
	return fail(http.StatusConflict, api.CodeConflict, "this broker belongs to no city: begin one with `ucp cluster init`")
}

// handleInvite makes an invite to the city, as an operator asks.
func (srv *Server) handleInvite(w http.ResponseWriter, r *http.Request) error {
	if srv.cfg.City == nil {
		return noCity()
	}
	b, _, err := readDocument(w, r, 16<<10, false)
	if err != nil {
		return err
	}
	var in api.Invitation
	if err := strictjson.Unmarshal(b, &in); err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "it is no invitation such as {\"role\":\"broker\"}: %v", err)
	}
	ttl := defaultTTL
	if in.TTL != "" {
		if ttl, err = time.ParseDuration(in.TTL); err != nil {
			return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "ttl %.40q: write a duration such as 1h", in.TTL)
		}
	}
	if in.Role == "" {
		in.Role = string(identity.Broker)
	}
	at, _ := srv.host.Addresses()
	if in.Addr != "" {
		at = in.Addr
	}
	now := srv.cfg.Now()
	invite, err := srv.door.Invite(city.Invitation{Name: in.Name, Role: identity.Role(in.Role), TTL: ttl, Passphrase: in.Passphrase}, at, now, srv.isThere)
	if err != nil {
		return asInvalid(err)
	}
	o := orderOf(r)
	o.which, o.detail = in.Name, in.Role+" within "+ttl.String()
	srv.log.Info("somebody is invited to the city", "by", callerOf(r).how, "name", in.Name, "role", in.Role, "for", ttl)
	writeJSON(w, http.StatusCreated, api.Invite{Code: invite.String(), Name: in.Name, Role: in.Role, Ends: now.Add(ttl)})
	return nil
}

// handleEnter admits who shows the ticket of an invite.
func (srv *Server) handleEnter(w http.ResponseWriter, r *http.Request) error {
	if srv.cfg.City == nil {
		return noCity()
	}
	b, _, err := readDocument(w, r, 4<<10, false)
	if err != nil {
		return err
	}
	var in api.Arrival
	a := city.Arrival{}
	if err := strictjson.Unmarshal(b, &in); err != nil || len(in.Ticket) != len(a.Ticket) {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "it is no ticket, key and name")
	}
	copy(a.Ticket[:], in.Ticket)
	a.Key, a.Name, a.Broker = identity.PublicKey(in.Key), in.Name, in.Broker
	admitted, err := srv.door.Enter(a, sourceOf(r.RemoteAddr), srv.cfg.Now(), srv.isKnown)
	if err != nil {
		srv.log.Warn("somebody was not let into the city", "from", r.RemoteAddr, "name", fmt.Sprintf("%.64q", in.Name), "error", err)
		return asInvalid(err)
	}
	proof, err := srv.cfg.City.Authorities().Prove(admitted)
	if err != nil {
		return asInvalid(err) // its authority has fallen meanwhile
	}
	if _, err := srv.vouch(r.Context(), proof); err != nil {
		return err // it may ask again
	}
	out := api.Admitted{Admission: admitted.Encode(), Authorities: srv.cfg.City.Authorities().Encode(), City: srv.cfg.City.GivenName()}
	if out.Brokers = srv.brokerAddresses(); admitted.Role == identity.Broker {
		if out.Keyring, err = os.ReadFile(srv.cfg.Keyring); err != nil {
			return fmt.Errorf("the key of the gossip: %w", err)
		}
		_, at := srv.host.Addresses()
		out.Gossip, out.Adopted = append(out.Gossip, at), srv.adopted()
		for _, m := range srv.host.Members() {
			if m.Status == gossip.Alive && m.Name != srv.cfg.Name && len(out.Gossip) < maxTold {
				out.Gossip = append(out.Gossip, m.Addr)
			}
		}
	}
	o := orderOf(r)
	o.which, o.detail = admitted.Name, string(admitted.Role)
	srv.log.Info("a member has come into the city", "name", admitted.Name, "role", string(admitted.Role), "from", r.RemoteAddr)
	writeJSON(w, http.StatusCreated, out)
	return nil
}

// Keyring is that of the gossip, at a broker of a city.
type Keyring interface {
	// Show tells a broker of when the keyring is, in the header of a message to it.
	Show(h http.Header)
	// See takes note of what the header of a broker's message tells of its keyring.
	See(h http.Header, from string)
	// Ring is the keyring now.
	Ring() api.Keyring
}

// Heads are what brokers of a city sign after each commit (rule H1).
type Heads interface {
	// Show is what a start of a broker is to be told in a reply to it.
	Show(to string, actor clock.Actor) [][]byte
	// See takes in what a start of a broker has told, before anything else of its message.
	See(from string, actor clock.Actor, heads [][]byte)
	// Forks is how many are known, of which this broker has told.
	Forks() int
	// Refused counts the heads that were not believed.
	Refused() uint64
	// Sheets are those of this broker's commits that are over some updates of one of its starts, as far as it has them still, encoded.
	Sheets(of clock.Actor, updates []uint64) ([][]byte, error)
	// Forged counts the records with a part of which its writer's sheet says that it has not written it.
	Forged() uint64
}

// handleKeyring gives the keys of the gossip to another broker of the city, which may not have heard that they were replaced.
func (srv *Server) handleKeyring(w http.ResponseWriter, _ *http.Request) error {
	if srv.cfg.City == nil || srv.cfg.Keys == nil {
		return noCity()
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, srv.cfg.Keys.Ring())
	return nil
}

// maxTold bounds how many addresses a new member is told.
const maxTold = 16

// brokerAddresses are where HTTP is answered, here first.
func (srv *Server) brokerAddresses() []string {
	here, _ := srv.host.Addresses()
	out := []string{here}
	for _, m := range srv.host.Brokers() {
		if m.Name != srv.cfg.Name && m.HTTPAddr != "" && len(out) < maxTold {
			out = append(out, m.HTTPAddr)
		}
	}
	return out
}

// asInvalid is the answer to what a door refuses.
func asInvalid(err error) error {
	switch {
	case errors.Is(err, city.ErrTooOften):
		return fail(http.StatusTooManyRequests, api.CodeTooMany, "%v", err)
	case errors.Is(err, city.ErrTicket), errors.Is(err, city.ErrBarred), errors.Is(err, identity.ErrLocked), errors.Is(err, identity.ErrPassphrase):
		return fail(http.StatusForbidden, api.CodeForbidden, "%v", err)
	case errors.Is(err, city.ErrTaken), errors.Is(err, city.ErrNoAuthority), errors.Is(err, city.ErrNotAbove), errors.Is(err, city.ErrItself), errors.Is(err, city.ErrLockout):
		return fail(http.StatusConflict, api.CodeConflict, "%v", err)
	}
	return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%v", err)
}

// isThere reports whether a name is that of a node that is in the pool now.
func (srv *Server) isThere(name string) bool {
	for _, m := range srv.host.Members() {
		if m.Name == name && !srv.cfg.City.Gone(name) && (m.Status == gossip.Alive || m.Status == gossip.Leaving) {
			return true
		}
	}
	return name == srv.cfg.Name
}

// adopted lists those that take part in the roll and were let in by nobody (rule M6).
func (srv *Server) adopted() []string {
	if s := srv.host.Overview(); s != nil {
		return s.Adopted[:min(len(s.Adopted), city.MaxAdopted)]
	}
	return nil
}

// isKnown reports whether a name is, or was, that of a broker.
func (srv *Server) isKnown(name string) bool {
	if s := srv.host.Overview(); s != nil {
		for _, e := range s.Roll {
			if e.Name == name && e.Uninvited == "" {
				return true
			}
		}
	}
	for _, m := range srv.host.Members() {
		if m.Name == name {
			return true
		}
	}
	return name == srv.cfg.Name
}
