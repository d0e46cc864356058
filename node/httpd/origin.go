package httpd

import (
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/urban-compute/ucp/api"
)

// sameOrigin refuses, before anything of it is read, what a page of another site makes a person's browser send.
//
// A browser says with every request that changes something where its page comes from, which decides
// ([http.CrossOriginProtection]). A page whose name was bound to our address (DNS rebinding) seems to come from us: it is
// known by the name in Host, which is none of ours.
func (srv *Server) sameOrigin(next http.Handler) http.Handler {
	pages := http.NewCrossOriginProtection()
	return http.HandlerFunc(srv.wrap(func(w http.ResponseWriter, r *http.Request) error {
		if !srv.answersTo(r.Host) {
			return fail(http.StatusForbidden, api.CodeForbidden,
				"this broker is not called %.100q: use its address, or start it with --http-host %.100[1]s if that is a name of it", hostname(r.Host))
		}
		if err := pages.Check(r); err != nil {
			return fail(http.StatusForbidden, api.CodeForbidden, "this was sent by a page of another site, so nothing was done: %v", err)
		}
		next.ServeHTTP(w, r)
		return nil
	}))
}

// ownNames are the names by which clients may call this broker beside its addresses: "localhost", those of the machine and
// of the broker, and those that the operator gave, "*.example.org" for all below one.
func ownNames(broker string, more []string) []string {
	names := append([]string{"localhost", "*.localhost", strings.ToLower(broker)}, more...)
	if machine, err := os.Hostname(); err == nil {
		names = append(names, strings.ToLower(machine), strings.ToLower(machine)+".local")
	}
	return names
}

// answersTo reports whether a Host header names this broker. Every address does: which of them is ours the network decides.
func (srv *Server) answersTo(host string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil || name == "" {
		return true
	}
	for _, own := range srv.names {
		if below, ok := strings.CutPrefix(own, "*"); name == own || ok && strings.HasSuffix(name, below) {
			return true
		}
	}
	return false
}

// hostname is a Host header without port, brackets and the dot of a complete name, in small letters.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// plainBody refuses a body that was encoded for the way: what is kept would be something else.
func plainBody(r *http.Request) error {
	if enc := r.Header.Get("Content-Encoding"); enc != "" {
		return fail(http.StatusUnsupportedMediaType, api.CodeMediaType, "Content-Encoding %.40q is not taken: send it as it is", enc)
	}
	return nil
}

// readDocument reads a document of at most limit bytes that a client wrote, and says whether it is YAML, which only some
// routes take. Its type must be said, since a page of another site can't say application/json without asking first.
func readDocument(w http.ResponseWriter, r *http.Request, limit int64, yamlToo bool) (b []byte, yaml bool, err error) {
	media, err := mediaType(r)
	if err != nil {
		return nil, false, err
	}
	yaml = yamlToo && (media == "application/yaml" || media == "application/x-yaml" || media == "text/yaml" || media == "text/x-yaml")
	if !yaml && media != "application/json" && !strings.HasSuffix(media, "+json") {
		return nil, false, notTaken(r, "application/json")
	}
	b, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	return b, yaml, err
}

// mediaType is what a request says that its body is. A body that is encoded is refused.
func mediaType(r *http.Request) (string, error) {
	if err := plainBody(r); err != nil {
		return "", err
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return media, nil
}

// notTaken refuses a body of another type than the wanted one, or of none.
func notTaken(r *http.Request, want string) error {
	if given := r.Header.Get("Content-Type"); given != "" {
		return fail(http.StatusUnsupportedMediaType, api.CodeMediaType, "Content-Type %.80q is not taken: say Content-Type: %s", given, want)
	}
	return fail(http.StatusUnsupportedMediaType, api.CodeMediaType, "the request has no Content-Type: say Content-Type: %s", want)
}
