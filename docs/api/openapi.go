// Package openapi holds the description of the HTTP interface in the words of OpenAPI 3.0, which every broker serves at
// /v1/openapi.yaml. docs/api.md is the same for people. TestOpenAPI (package node/httpd) derives the file from the routes,
// docs/api.md and the Go types, and fails where it differs.
package openapi

import _ "embed"

// Document is openapi.yaml.
//
//go:embed openapi.yaml
var Document []byte
