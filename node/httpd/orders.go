package httpd

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/audit"
)

// orders are the routes that change something for others, by pattern, and what the audit log calls them. A route that
// changes something and is not among them has a reason in the test of this table.
var orders = map[string]string{
	"POST /v1/jobs":                   audit.Submit,
	"POST /v1/jobs:batch":             audit.Submit,
	"PUT /v1/jobs/{id}":               audit.Submit,
	"POST /v1/plans":                  audit.Submit,
	"DELETE /v1/jobs/{id}":            audit.Cancel,
	"PUT /v1/data/{name...}":          audit.PutData,
	"DELETE /v1/data/{name...}":       audit.RemoveData,
	"POST /v1/emergencies":            audit.Declare,
	"DELETE /v1/emergencies/{id}":     audit.Clear,
	"PUT /v1/strategy":                audit.Switch,
	"DELETE /v1/members/{name}":       audit.Forget,
	"PUT /v1/members/{name}/drain":    audit.Drain,
	"DELETE /v1/members/{name}/drain": audit.Resume,
	"PUT /v1/log-level":               audit.SetLevel,
	"POST /v1/invites":                audit.Invite,
	"POST /v1/admissions":             audit.Admit,
	"POST /v1/authorities":            audit.AddAuthority,
	"DELETE /v1/authorities/{key}":    audit.RemoveAuthority,
	"POST /v1/revocations":            audit.Revoke,
	"POST /v1/carry/pack":             audit.Pack,
	"POST /v1/carry/unpack":           audit.Unpack,
}

// order is what the audit log will say of a request; its handler adds what the path does not tell.
type order struct {
	which, detail string
	none          bool // nothing was ordered: a dry run
}

type orderKey struct{}

// orderOf is where a handler notes what its request is about, once that is known.
func orderOf(r *http.Request) *order {
	if o, ok := r.Context().Value(orderKey{}).(*order); ok {
		return o
	}
	return new(order) // of a broker that keeps no log
}

// noted adds the orders of a route to the audit log, whether they were carried out or may have been. What was clearly
// refused changed nothing, and is in no log: whoever may send requests at all could fill the disk with it.
func (srv *Server) noted(what string, h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	if what == "" || srv.cfg.Audit == nil {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		o := &order{which: r.PathValue("id") + r.PathValue("name")}
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		err := h(seen, r.WithContext(context.WithValue(r.Context(), orderKey{}, o)))
		if err != nil {
			e := srv.asError(err)
			if e.Refused() || errors.Is(err, ErrBusy) {
				return err
			}
			seen.status = e.Status
		}
		if o.none {
			return err
		}
		who := sourceOf(r.RemoteAddr)
		if c := callerOf(r); c.how != "" {
			who = c.how + " at " + who
		}
		srv.cfg.Audit.Note(audit.Entry{At: srv.cfg.Now(), What: what, Which: o.which, Who: who, Status: seen.status, Detail: o.detail})
		return err
	}
}

// statusWriter remembers with which status a request was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// AuditLog keeps the broker's audit log.
type AuditLog interface {
	// Note adds an entry, within a second. It waits while too many wait already.
	Note(audit.Entry)
	// Copy writes a copy of the log.
	Copy(io.Writer) error
	// Show tells a broker of that name how far the log is, in the header of a message to it, if it is time to.
	Show(h http.Header, to string)
	// See takes note of what the header of a broker's message tells of its log.
	See(h http.Header, from string)
}

// show tells a peer how far the audit log is, and of when the keyring, in the header of the answer to its message, and takes note of
// what it tells.
func (srv *Server) show(w http.ResponseWriter, r *http.Request, peer string) {
	if srv.cfg.Audit != nil {
		srv.cfg.Audit.See(r.Header, peer)
		srv.cfg.Audit.Show(w.Header(), peer)
	}
	if srv.cfg.Keys != nil {
		srv.cfg.Keys.See(r.Header, peer)
		srv.cfg.Keys.Show(w.Header())
	}
}

// handleAudit gives a copy of the broker's audit log.
func (srv *Server) handleAudit(w http.ResponseWriter, _ *http.Request) error {
	if srv.cfg.Audit == nil {
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "this broker keeps no audit log")
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if err := srv.cfg.Audit.Copy(w); err != nil {
		srv.log.Warn("a copy of the audit log was cut short", "error", err)
		panic(http.ErrAbortHandler) // the client must not take it for the whole
	}
	return nil
}
