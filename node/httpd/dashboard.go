package httpd

import (
	"net/http"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/node/httpd/ui"
)

// handleUI sends a file of the dashboard, to everybody: what it shows it asks with the rights of whoever looks.
func (srv *Server) handleUI(w http.ResponseWriter, r *http.Request) error {
	f := ui.Files()[r.PathValue("path")]
	if f == nil {
		return fail(http.StatusNotFound, api.CodeNotFound, "the dashboard has no file %.80q; it begins at /ui/", r.PathValue("path"))
	}
	f.Serve(w, r)
	return nil
}

// handleRoot leads a browser that was given nothing but an address to the dashboard.
func (srv *Server) handleRoot(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/ui/", http.StatusFound)
	return nil
}

// harmless sees to it that no answer runs in a browser as a page of this broker: what jobs have written is anybody's, and the
// dashboard, which has the same origin, holds the rights of whoever looks. The dashboard's own files say what they may instead.
func harmless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// handleCaller says who asks, as far as the broker knows, and what they may. Who may nothing is told why.
func (srv *Server) handleCaller(w http.ResponseWriter, r *http.Request) error {
	out := api.Caller{Scopes: []string{}, City: srv.cfg.City != nil}
	c, err := srv.identify(r)
	if err != nil {
		out.Why = srv.asError(err).Message
	} else {
		out.Name, out.How, out.Scopes = c.name, c.how, orEmpty(c.scopes.Names())
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
