package httpd

import (
	"context"
	"errors"
	"net/http"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/strictjson"
)

// vouch puts what an authority has said into the replicated table.
func (srv *Server) vouch(ctx context.Context, proofs ...*identity.Proof) (*broker.Vouched, error) {
	return ask[*broker.Vouched](ctx, srv, func(t broker.Token) broker.Input { return broker.Vouch{Token: t, Proofs: proofs} })
}

// handleAuthorities lists the authorities of the city.
func (srv *Server) handleAuthorities(w http.ResponseWriter, _ *http.Request) error {
	self := srv.cfg.City
	if self == nil {
		return noCity()
	}
	of := self.Authorities()
	out := api.Authorities{Here: self.Kept().String(), Authorities: []api.Authority{}}
	for _, key := range of.Keys() {
		out.Authorities = append(out.Authorities, api.Authority{Key: key.String(), Root: key == of.Root(), AddedBy: of.AddedBy(key).String()})
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// handleRevocations tells who was revoked, so that people's command lines do not trust them.
func (srv *Server) handleRevocations(w http.ResponseWriter, _ *http.Request) error {
	if srv.cfg.City == nil {
		return noCity()
	}
	writeJSON(w, http.StatusOK, api.Revocations{Proofs: append([][]byte{}, srv.cfg.City.Revocations()...)})
	return nil
}

// handleAddAuthority makes a key an authority of the city, as an operator asks.
func (srv *Server) handleAddAuthority(w http.ResponseWriter, r *http.Request) error {
	in, key, err := srv.authorityAsked(w, r, "")
	if err != nil {
		return err
	}
	return srv.said(w, r, key.String(), func() (*identity.Proof, error) { return srv.cfg.City.AddAuthority(key, in.Passphrase) })
}

// handleRemoveAuthority ends for good that a key is an authority.
func (srv *Server) handleRemoveAuthority(w http.ResponseWriter, r *http.Request) error {
	in, key, err := srv.authorityAsked(w, r, r.PathValue("key"))
	if err != nil {
		return err
	}
	return srv.said(w, r, key.String(), func() (*identity.Proof, error) {
		return srv.unlessLockedOut(r, in.Lockout)(srv.cfg.City.RemoveAuthority(key, in.Passphrase))
	})
}

// authorityAsked reads an order about an authority; key is that of the path, "" where the body has it.
func (srv *Server) authorityAsked(w http.ResponseWriter, r *http.Request, text string) (in api.AuthorityOrder, key identity.PublicKey, err error) {
	if err := srv.order(w, r, &in); err != nil {
		return in, "", err
	}
	if text == "" {
		text = in.Key
	}
	if key, err = city.ParseKey(text); err != nil {
		return in, "", fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%v", err)
	}
	return in, key, nil
}

// order reads what an operator of the city asks for.
func (srv *Server) order(w http.ResponseWriter, r *http.Request, in any) error {
	if srv.cfg.City == nil {
		return noCity()
	}
	b, _, err := readDocument(w, r, 16<<10, false)
	if err != nil {
		return err
	}
	if err := strictjson.Unmarshal(b, in); err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "it is no order of that kind: %v", err)
	}
	return nil
}

// handleRevoke ends a membership, as an operator asks.
func (srv *Server) handleRevoke(w http.ResponseWriter, r *http.Request) error {
	var in api.RevocationOrder
	if err := srv.order(w, r, &in); err != nil {
		return err
	}
	switch {
	case (in.Member == "") == (in.TokensOf == ""):
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "name a member, or whose tokens (tokens_of): one of the two")
	case in.TokensOf == "" && in.Until != nil:
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "until is of tokens")
	case in.TokensOf == "":
		return srv.said(w, r, in.Member, func() (*identity.Proof, error) {
			return srv.unlessLockedOut(r, in.Lockout)(srv.revoke(in.Member, in.Passphrase))
		})
	}
	until := srv.host.CityTime()
	if in.Until != nil {
		until = *in.Until
	}
	return srv.said(w, r, in.TokensOf, func() (*identity.Proof, error) { return srv.cfg.City.RevokeTokens(in.TokensOf, in.Passphrase, until) })
}

// unlessLockedOut passes a statement on, unless by it who asks or the last operator falls, and that was not agreed to.
func (srv *Server) unlessLockedOut(r *http.Request, agreed bool) func(*identity.Proof, error) (*identity.Proof, error) {
	return func(p *identity.Proof, err error) (*identity.Proof, error) {
		if err != nil || agreed {
			return p, err
		}
		var asks *identity.Admission
		if c := credentialOf(r); c != nil {
			asks = c.Admission
		}
		return p, srv.cfg.City.Lockout(p, asks)
	}
}

func (srv *Server) revoke(who, passphrase string) (*identity.Proof, error) {
	return srv.cfg.City.Revoke(who, passphrase, srv.cfg.Now(), srv.isKnown)
}

// said makes an authority's statement known to all brokers, and answers by how many it is known.
func (srv *Server) said(w http.ResponseWriter, r *http.Request, which string, say func() (*identity.Proof, error)) error {
	proof, err := say()
	if errors.Is(err, city.ErrUnknown) {
		return fail(http.StatusNotFound, api.CodeNotFound, "%v", err)
	}
	if err != nil {
		return asInvalid(err)
	}
	o := orderOf(r)
	o.which = which
	if c := connectionOf(r); c != nil && c.conn != nil { // it may be who asks that falls: the connection ends after the answer
		srv.cfg.City.Untrack(c.conn)
		w.Header().Set("Connection", "close")
	}
	done, err := srv.vouch(r.Context(), proof)
	if err != nil {
		return err
	}
	srv.log.Info("an authority has said", "by", callerOf(r).name, "about", proof.Statement.Subject())
	writeJSON(w, http.StatusOK, api.Said{About: proof.Statement.Subject(), Replicas: done.Replicas, Degraded: done.Degraded})
	return nil
}

// endIdentity ends the membership of a broker that was given up, if the authority at this broker can: "" is that it did, or
// that there is no city; otherwise why not.
func (srv *Server) endIdentity(ctx context.Context, name string) (why string) {
	if srv.cfg.City == nil {
		return ""
	}
	proof, err := srv.revoke(name, "")
	if err == nil {
		_, err = srv.vouch(ctx, proof)
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, city.ErrUnknown):
		return "no admission of it is known"
	}
	return err.Error()
}
