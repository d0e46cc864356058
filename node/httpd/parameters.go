package httpd

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
)

// What the query of a route may have. Those of forOutput and forSubmission are shared by several routes.
var (
	forSubmission = []string{"wait", "timeout", "causal_token", "dry_run"}
	forOutput     = []string{"wait", "timeout", "causal_token", "attempt"}
	forStream     = []string{"wait", "timeout", "causal_token", "attempt", "follow", "from"}
	forList       = []string{"state", "label", "name", "broker", "emergency", "urgent", "paused", "submitter", "mine", "since", "causal_token", "timeout", "limit", "after", "count"}
)

// parameters says of every route what its query may have (docs/api.md says what that means); a route that is not here takes none.
var parameters = map[string][]string{
	"POST /v1/jobs":                       forSubmission,
	"PUT /v1/jobs/{id}":                   forSubmission,
	"POST /v1/jobs:batch":                 {"timeout", "causal_token"},
	"POST /v1/plans":                      {"timeout", "causal_token", "dry_run"},
	"GET /v1/jobs":                        forList,
	"GET /v1/jobs/{id}":                   {"wait", "timeout", "causal_token", "copies"},
	"GET /v1/jobs/{id}/stdout":            forStream,
	"GET /v1/jobs/{id}/stderr":            forStream,
	"GET /v1/jobs/{id}/outputs/{path...}": forOutput,
	"GET /v1/jobs/{id}/result":            {"wait", "timeout", "causal_token", "attempt", "format"},
	"GET /v1/blobs/{digest}":              {"missing"},
	"GET /v1/data/{name...}":              {"wait", "known", "version", "versions", "path", "timeout", "causal_token", "limit", "after", "removed"},
	"PUT /v1/data/{name...}":              {"digest", "directory", "if", "timeout", "causal_token"},
	"DELETE /v1/data/{name...}":           {"if", "timeout", "causal_token"},
	"GET /v1/events":                      {"kinds", "since", "broker"},
	"GET /v1/jobs/{id}/events":            {"since", "broker"},
	"PUT /v1/members/{name}/drain":        {"deadline"},
	"GET /v1/conflicts":                   {"limit"},
	"GET /v1/conflicts/{id}":              {"bundle"},
	"POST /v1/emergencies":                {"new_type"},
	"DELETE /v1/emergencies/{id}":         {"unknown"},
	"GET /broker/coordination-status":     {"ask"},
	"GET /broker/digest":                  {"records"},
	"GET /broker/sheets":                  {"actor", "updates"},
	"GET /broker/debug":                   {"pprof"},
	"POST /v1/carry/pack":                 {"for", "limit", "admit", "whole", "introduce"},
	"POST /v1/carry/unpack":               {"dry_run"},
	"GET /metrics":                        {"name[]"}, // those of the Prometheus library
}

var (
	repeatable = []string{"label", "name[]"}
	yesOrNo    = []string{"dry_run", "copies", "missing", "versions", "directory", "removed", "urgent", "paused", "mine", "follow", "count", "bundle", "new_type", "unknown", "ask", "records", "pprof", "admit", "whole", "introduce"}
	mayBeEmpty = []string{"causal_token", "after"} // of a client that has seen nothing, and before the first page
)

// withBody are the routes that read a body.
var withBody = []string{
	"POST /broker/sync-metadata", "POST /v1/jobs", "POST /v1/jobs:batch", "PUT /v1/jobs/{id}", "POST /v1/plans", "PUT /v1/blobs/{digest}", "PUT /v1/data/{name...}", "PUT /v1/strategy",
	"POST /v1/emergencies", "PUT /v1/log-level", "POST /v1/invites", "POST /v1/admissions", "POST /v1/authorities", "DELETE /v1/authorities/{key}", "POST /v1/revocations", "POST /broker/secrets", "POST /v1/carry/unpack", "POST /broker/word",
}

// asked refuses what a query has and its route does not take, by its name, and a body where none is read: what is passed over
// in silence is done otherwise than it was meant.
func (srv *Server) asked(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(srv.wrap(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.RawQuery != "" { // which nearly every submission has not
			if err := checkQuery(r.URL.RawQuery, parameters[pattern]); err != nil {
				if r.Method != http.MethodGet && r.Method != http.MethodHead {
					err.Message += "; nothing was done"
				}
				return err
			}
		}
		if r.ContentLength != 0 && !slices.Contains(withBody, pattern) {
			hint := "; nothing was done"
			if known := parameters[pattern]; len(known) > 0 {
				hint = ": write its parameters into the address, such as ?" + known[0] + "=" + hint
			}
			return fail(http.StatusBadRequest, api.CodeBadRequest, "%s %s takes no body%s", r.Method, r.URL.Path, hint)
		}
		next.ServeHTTP(w, r)
		return nil
	}))
}

// checkQuery says what is wrong with a query, of which these parameters may be part; nil is nothing.
func checkQuery(query string, known []string) *api.Error {
	bad := func(format string, args ...any) *api.Error {
		return fail(http.StatusBadRequest, api.CodeBadRequest, format, args...)
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return bad("?%.80s can't be read: %v", query, err)
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		values := q[name]
		switch {
		case len(known) == 0:
			return bad("unknown parameter ?%.40s=: this takes none", name)
		case !slices.Contains(known, name):
			return bad("unknown parameter ?%.40s=: %s", name, label.OneOf(name, known))
		case len(values) > 1 && !slices.Contains(repeatable, name):
			return bad("?%s= is given %d times, and can have one value", name, len(values))
		case slices.Contains(values, "") && !slices.Contains(mayBeEmpty, name):
			return bad("?%s= has no value; give it one, or leave it out", name)
		case slices.Contains(yesOrNo, name) && !slices.Contains([]string{"1", "true", "0", "false"}, strings.ToLower(values[0])):
			return bad("?%s=%.40s: write 1 or 0 (true or false)", name, values[0])
		}
	}
	return nil
}

// queryYes reads a parameter that says yes or no; absent is no.
func queryYes(r *http.Request, name string) bool {
	if r.URL.RawQuery == "" {
		return false
	}
	s := strings.ToLower(r.URL.Query().Get(name))
	return s == "1" || s == "true"
}
