package httpd

import (
	"errors"
	"io"
	"net/http"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
)

// Secrets of jobs are encrypted by who submits them to the brokers that may run them, and lie in blobs. Here clients learn by which
// keys, and a broker at which a job is placed, and to which a secret of it was not encrypted, gets it from one that can read it.

// handleRecipients tells to which brokers secrets can be encrypted: those that are there. Their keys are in their admissions, which
// the client verifies.
func (srv *Server) handleRecipients(w http.ResponseWriter, r *http.Request) error {
	self := srv.cfg.City
	if self == nil {
		return fail(http.StatusConflict, api.CodeConflict, "this broker belongs to no city, and takes no jobs with secrets: `ucp cluster init` begins one")
	}
	out := api.Recipients{Authorities: self.Authorities().Encode(), Brokers: []api.Recipient{}, Submitter: callerOf(r).name}
	add := func(name string) {
		if a := self.Holder(name); a != nil && a.Role == identity.Broker {
			out.Brokers = append(out.Brokers, api.Recipient{Name: name, Self: name == srv.cfg.Name, Admission: a.Encode()})
		}
	}
	add(srv.cfg.Name)
	for _, m := range srv.host.Brokers() {
		if m.Status == membership.Alive && m.Name != srv.cfg.Name {
			add(m.Name)
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// handleSecret gives a secret of a job to the broker at which the job is placed, encrypted to that.
func (srv *Server) handleSecret(w http.ResponseWriter, r *http.Request) error {
	var in api.SecretOrder
	if err := srv.order(w, r, &in); err != nil {
		return err
	}
	cred := credentialOf(r)
	if cred == nil {
		return fail(http.StatusForbidden, api.CodeForbidden, "secrets are for brokers, which show who they are")
	}
	if !validReference(in.Job) {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "job: %.80q is no job", in.Job)
	}
	f, err := ask[*broker.Found](r.Context(), srv, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: in.Job} })
	if err != nil {
		return err
	}
	if !mayRead(f.Record, cred.Admission.Name, in.Digest) {
		return fail(http.StatusForbidden, api.CodeForbidden, "job %s is not one that runs at %s and has this secret", f.Record.ID, cred.Admission.Name)
	}
	sealed, err := srv.sealed(in.Digest)
	if err != nil {
		return fail(http.StatusNotFound, api.CodeNotFound, "this broker does not have the secret: %v", err)
	}
	secret, err := srv.cfg.City.Unseal(sealed)
	if errors.Is(err, identity.ErrNotForUs) {
		return fail(http.StatusNotFound, api.CodeNotFound, "%v", err)
	}
	if err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%v", err)
	}
	if secret.Of != f.Record.Spec.Submitter {
		return fail(http.StatusForbidden, api.CodeForbidden, "this secret is for jobs of %.80q, and %s submitted job %s", secret.Of, f.Record.Spec.Submitter, f.Record.ID)
	}
	out, err := identity.Seal(secret, cred.Admission.Key)
	if err != nil {
		return err
	}
	srv.log.Info("a secret of a job was encrypted again, to the broker at which that is placed now", "job", string(f.Record.ID), "broker", cred.Admission.Name)
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(out) // the peer sees a short answer, and asks another broker
	return nil
}

// mayRead reports whether a broker may read a secret: it is of a job that is placed there and has not ended.
func mayRead(r *job.Record, at string, d job.Digest) bool {
	if r.State().Final() || r.Place.Broker != at {
		return false
	}
	for _, secret := range r.Spec.Secrets {
		if secret == string(d) {
			return true
		}
	}
	return false
}

// sealed reads a secret as it lies here.
func (srv *Server) sealed(d job.Digest) ([]byte, error) {
	blob, err := srv.store.Blobs().Open(string(d))
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(io.LimitReader(blob, identity.MaxSealed+1))
}
