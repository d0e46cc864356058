package httpd

import (
	"net/http"

	openapi "github.com/urban-compute/ucp/docs/api"
)

// handleOpenAPI sends the description of this interface for programs. It holds nothing of this broker.
func (srv *Server) handleOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(openapi.Document) // who went away misses it
	return nil
}
