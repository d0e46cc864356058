package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/access"
)

// calls says of every verb which routes of a broker it calls; what it needs follows from that. A verb that is not here does not
// get its help, and has no place in the tree. One without routes asks no broker for anything that takes a scope.
var calls = map[string][]string{
	"ucp":                          {"GET /broker/coordination-status", "GET /v1/jobs", "GET /v1/members", "GET /broker/metadata", "GET /v1/emergencies"},
	"ucp agent":                    nil,
	"ucp agent log-level":          {"GET /v1/log-level", "PUT /v1/log-level"},
	"ucp audit check":              nil,
	"ucp audit copy":               {"GET /v1/members", "GET /v1/audit"},
	"ucp audit list":               {"GET /v1/audit"},
	"ucp audit proof":              nil,
	"ucp audit verify":             nil,
	"ucp carry pack":               {"POST /v1/carry/pack"},
	"ucp carry show":               {"POST /v1/carry/unpack"},
	"ucp carry unpack":             {"POST /v1/carry/unpack"},
	"ucp cluster authority add":    {"GET /v1/members", "GET /v1/authorities", "POST /v1/authorities"},
	"ucp cluster authority list":   {"GET /v1/authorities"},
	"ucp cluster authority remove": {"DELETE /v1/authorities/{key}"},
	"ucp cluster revoke":           {"POST /v1/revocations"},
	"ucp cluster drain":            {"PUT /v1/members/{name}/drain"},
	"ucp cluster forget":           {"DELETE /v1/members/{name}"},
	"ucp cluster init":             nil,
	"ucp cluster operator":         nil, // the key on the disk makes it one
	"ucp cluster invite":           {"POST /v1/invites"},
	"ucp cluster resume":           {"DELETE /v1/members/{name}/drain"},
	"ucp cluster verify":           {"GET /v1/members", "GET /broker/digest"},
	"ucp config check":             nil,
	"ucp conflict explain":         {"GET /v1/conflicts/{id}"},
	"ucp conflict export":          {"GET /v1/conflicts/{id}"},
	"ucp conflict list":            {"GET /v1/conflicts"},
	"ucp conflict replay":          nil,
	"ucp data get":                 {"GET /v1/data/{name...}"},
	"ucp data list":                {"GET /v1/data/{name...}"},
	"ucp data put":                 {"GET /v1/blobs/{digest}", "PUT /v1/blobs/{digest}", "PUT /v1/data/{name...}"},
	"ucp data rm":                  {"DELETE /v1/data/{name...}"},
	"ucp data watch":               {"GET /v1/data/{name...}"},
	"ucp debug bundle":             {"GET /v1/members", "GET /broker/debug"},
	"ucp emergency clear":          {"DELETE /v1/emergencies/{id}"},
	"ucp emergency declare":        {"POST /v1/emergencies"},
	"ucp emergency get":            {"GET /v1/emergencies/{id}", "GET /v1/jobs"},
	"ucp emergency list":           {"GET /v1/emergencies"},
	"ucp events":                   {"GET /v1/events", "GET /v1/jobs/{id}/events"},
	"ucp health":                   {"GET /healthz", "GET /readyz"},
	"ucp job cancel":               {"GET /v1/jobs", "GET /v1/jobs/{id}", "DELETE /v1/jobs/{id}"},
	"ucp job get":                  {"GET /v1/jobs/{id}"},
	"ucp job list":                 {"GET /v1/jobs"},
	"ucp job logs":                 {"GET /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr"},
	"ucp job result":               {"GET /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr", "GET /v1/jobs/{id}/outputs/{path...}"},
	"ucp job submit":               {"PUT /v1/jobs/{id}"},
	"ucp job wait":                 {"GET /v1/jobs", "GET /v1/jobs/{id}"},
	"ucp keygen":                   nil,
	"ucp login":                    nil, // its invite lets it in
	"ucp module key":               nil,
	"ucp module sign":              nil,
	"ucp module verify":            nil,
	"ucp man":                      nil,
	"ucp members":                  {"GET /v1/members"},
	"ucp plan cancel":              {"GET /v1/jobs", "GET /v1/jobs/{id}", "DELETE /v1/jobs/{id}"},
	"ucp plan check":               nil,
	"ucp plan get":                 {"GET /v1/jobs", "GET /v1/jobs/{id}"},
	"ucp plan list":                {"GET /v1/jobs"},
	"ucp plan result":              {"GET /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr", "GET /v1/jobs/{id}/outputs/{path...}"},
	"ucp plan retry":               {"POST /v1/jobs:batch", "GET /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr", "GET /v1/jobs/{id}/outputs/{path...}"},
	"ucp plan run":                 {"GET /v1/blobs/{digest}", "PUT /v1/blobs/{digest}", "POST /v1/jobs:batch", "GET /v1/jobs", "GET /v1/jobs/{id}", "DELETE /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr", "GET /v1/jobs/{id}/outputs/{path...}"},
	"ucp plan show":                {"GET /v1/jobs", "GET /v1/jobs/{id}"},
	"ucp plan wait":                {"GET /v1/jobs", "GET /v1/jobs/{id}"},
	"ucp run":                      {"GET /v1/recipients", "GET /v1/blobs/{digest}", "PUT /v1/blobs/{digest}", "POST /v1/jobs", "POST /v1/jobs:batch", "GET /v1/jobs", "PUT /v1/jobs/{id}", "GET /v1/jobs/{id}", "GET /v1/jobs/{id}/stdout", "GET /v1/jobs/{id}/stderr"},
	"ucp status":                   {"GET /broker/coordination-status", "GET /v1/jobs", "GET /v1/members", "GET /broker/metadata", "GET /v1/emergencies"},
	"ucp strategy get":             {"GET /v1/strategy", "GET /v1/emergencies"},
	"ucp strategy set":             {"PUT /v1/strategy"},
	"ucp token create":             nil,
	"ucp token list":               nil,
	"ucp token revoke":             {"POST /v1/revocations"},
	"ucp token narrow":             nil,
	"ucp top":                      {"GET /broker/coordination-status", "GET /v1/jobs", "GET /v1/members", "GET /broker/metadata", "GET /v1/emergencies", "GET /v1/conflicts"},
	"ucp trace":                    {"GET /v1/jobs", "GET /v1/jobs/{id}"},
	"ucp version":                  nil,
}

// needsOf are the needs of a verb, each once.
func needsOf(verb string) (out []access.Need) {
	for _, route := range calls[verb] {
		if n := access.Needs[route]; !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// sayNeeds adds to the help of each verb what it takes in a city.
func sayNeeds(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		sayNeeds(sub)
	}
	var words []string
	for _, n := range needsOf(cmd.CommandPath()) {
		words = append(words, n.String())
	}
	if len(words) == 0 || cmd.Hidden {
		return
	}
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long += "\n\nIn a city this takes " + strings.Join(words, ";\nand ") + "."
}
