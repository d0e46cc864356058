package httpd

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/resolve"
)

var rewrite = flag.Bool("rewrite", false, "write docs/api/openapi.yaml and the types of the Python client as they follow from the code")

// Media types of bodies and answers.
const (
	mediaJSON  = "application/json"
	mediaYAML  = "application/yaml"
	mediaBytes = "application/octet-stream"
	mediaSSE   = "text/event-stream"
	mediaText  = "text/plain"
	mediaPack  = "application/msgpack"
)

// bytesOf stands for an answer or a body that is no JSON.
type bytesOf struct{}

// content is what a body or an answer may be, by its media type: a value of a Go type, several that it may be, or bytesOf.
// Of lines of JSON and of events it is what each of them is.
type content map[string][]any

func jsonOf(values ...any) content { return content{mediaJSON: values} }

func bytesAs(media string) content { return content{media: {bytesOf{}}} }

func either(a, b content) content {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// exchange is what a route reads and answers, where it answers with a success.
type exchange struct {
	in       content // nil: no body
	optional bool    // the body may be left out
	out      content
	head     bool // it answers HEAD, too
}

// exchanges says it of every route.
var exchanges = map[string]exchange{
	"POST /broker/sync-metadata":          {in: bytesAs(mediaPack), out: bytesAs(mediaPack)},
	"GET /broker/coordination-status":     {out: jsonOf(api.Coordination{})},
	"GET /broker/metadata":                {out: jsonOf(metadataList{})},
	"GET /broker/digest":                  {out: jsonOf(api.Digest{})},
	"GET /broker/keyring":                 {out: jsonOf(api.Keyring{})},
	"GET /v1/members":                     {out: jsonOf(api.MemberList{})},
	"DELETE /v1/members/{name}":           {out: jsonOf(api.RemovedMember{})},
	"PUT /v1/members/{name}/drain":        {out: jsonOf(api.DrainedMember{})},
	"DELETE /v1/members/{name}/drain":     {out: jsonOf(api.DrainedMember{})},
	"POST /v1/jobs":                       {in: content{mediaJSON: {specDocument}, mediaYAML: {specDocument}}, out: jsonOf(api.Submission{}, api.DryRun{})},
	"PUT /v1/jobs/{id}":                   {in: content{mediaJSON: {specDocument}, mediaYAML: {specDocument}}, out: jsonOf(api.Submission{}, api.DryRun{})},
	"POST /v1/jobs:batch":                 {in: content{api.NDJSON: {batchJob{}}}, out: content{api.NDJSON: {api.BatchLine{}}}},
	"POST /v1/plans":                      {in: jsonOf(api.PlanOrder{}), out: jsonOf(api.PlanAnswer{})},
	"GET /v1/jobs":                        {out: jsonOf(api.JobList{})},
	"GET /v1/jobs/{id}":                   {out: jsonOf(api.Job{})},
	"DELETE /v1/jobs/{id}":                {out: jsonOf(api.Job{})},
	"GET /v1/jobs/{id}/stdout":            {out: bytesAs(mediaBytes), head: true},
	"GET /v1/jobs/{id}/stderr":            {out: bytesAs(mediaBytes), head: true},
	"GET /v1/jobs/{id}/result":            {out: either(bytesAs("application/zip"), bytesAs("application/x-tar"))},
	"GET /v1/jobs/{id}/outputs/{path...}": {out: either(bytesAs(mediaBytes), jsonOf(manifest{})), head: true},
	"PUT /v1/blobs/{digest}":              {in: bytesAs(mediaBytes), out: jsonOf(api.Blob{})},
	"GET /v1/blobs/{digest}":              {out: either(bytesAs(mediaBytes), jsonOf(api.Missing{})), head: true},
	"GET /v1/blobs/{digest}/chunks":       {out: bytesAs(mediaBytes)},
	"GET /v1/data/{name...}":              {out: either(bytesAs(mediaBytes), jsonOf(api.Data{}, api.DataList{}, manifest{})), head: true},
	"PUT /v1/data/{name...}":              {in: bytesAs(mediaBytes), optional: true, out: jsonOf(api.Data{})},
	"DELETE /v1/data/{name...}":           {out: jsonOf(api.Data{})},
	"GET /v1/strategy":                    {out: jsonOf(api.Strategy{})},
	"PUT /v1/strategy":                    {in: jsonOf(api.Strategy{}), out: jsonOf(api.Strategy{})},
	"GET /v1/conflicts":                   {out: jsonOf(api.ConflictList{})},
	"GET /v1/conflicts/{id}":              {out: jsonOf(resolve.Explanation{}, resolve.Bundle{})},
	"GET /broker/conflict-statistics":     {out: jsonOf(api.ConflictStatistics{})},
	"GET /v1/emergencies":                 {out: jsonOf(api.EmergencyList{})},
	"POST /v1/emergencies":                {in: jsonOf(emergency.Declaration{}), out: jsonOf(api.Emergency{})},
	"GET /v1/emergencies/{id}":            {out: jsonOf(api.Emergency{})},
	"DELETE /v1/emergencies/{id}":         {out: jsonOf(api.Emergency{})},
	"GET /v1/events":                      {out: content{mediaSSE: {api.Event{}}}},
	"GET /v1/jobs/{id}/events":            {out: content{mediaSSE: {api.Event{}}}},
	"GET /broker/debug":                   {out: bytesAs("application/gzip")},
	"GET /v1/log-level":                   {out: jsonOf(api.LogLevel{})},
	"PUT /v1/log-level":                   {in: jsonOf(levelOrder{}), out: jsonOf(api.LogLevel{})},
	"GET /v1/audit":                       {out: bytesAs(api.NDJSON)},
	"POST /v1/invites":                    {in: jsonOf(api.Invitation{}), out: jsonOf(api.Invite{})},
	"POST /v1/admissions":                 {in: jsonOf(api.Arrival{}), out: jsonOf(api.Admitted{})},
	"GET /v1/authorities":                 {out: jsonOf(api.Authorities{})},
	"POST /v1/authorities":                {in: jsonOf(api.AuthorityOrder{}), out: jsonOf(api.Said{})},
	"DELETE /v1/authorities/{key}":        {in: jsonOf(api.AuthorityOrder{}), out: jsonOf(api.Said{})},
	"GET /v1/recipients":                  {out: jsonOf(api.Recipients{})},
	"POST /broker/secrets":                {in: jsonOf(api.SecretOrder{}), out: bytesAs(mediaBytes)},
	"GET /broker/sheets":                  {out: bytesAs(mediaBytes)},
	"GET /v1/revocations":                 {out: jsonOf(api.Revocations{})},
	"POST /v1/revocations":                {in: jsonOf(api.RevocationOrder{}), out: jsonOf(api.Said{})},
	"GET /healthz":                        {out: jsonOf(probe{})},
	"GET /readyz":                         {out: jsonOf(probe{})},
	"GET /metrics":                        {out: bytesAs(mediaText)},
	"GET /v1/openapi.yaml":                {out: bytesAs(mediaYAML)},
	"GET /broker/views":                   {out: jsonOf(api.Views{})},
	"GET /v1/caller":                      {out: jsonOf(api.Caller{})},
	"GET /ui/{path...}":                   {out: bytesAs("*/*")},
	"GET /{$}":                            {out: bytesAs("*/*")},
	"POST /v1/carry/pack":                 {out: bytesAs(mediaBytes)},
	"POST /v1/carry/unpack":               {in: bytesAs(mediaBytes), out: jsonOf(api.Carried{})},
	"GET /broker/word":                    {out: bytesAs(mediaBytes)},
	"POST /broker/word":                   {in: bytesAs(mediaJSON), out: jsonOf(api.WordsHeard{})},
}

// What is answered and has no type of its own in the code.
type (
	metadataList struct {
		Brokers map[string]wire.Metadata `json:"brokers"`
	}
	probe struct {
		Status string `json:"status"`
	}
	levelOrder struct {
		Level string `json:"level"` // debug | info | warn | error
	}
	batchJob struct {
		ID   string   `json:"id,omitempty"`
		Spec document `json:"spec"`
	}
	manifest struct {
		Manifest int             `json:"manifest"` // the version of the format
		Entries  []manifestEntry `json:"entries"`  // sorted by the bytes of their paths
	}
	manifestEntry struct {
		Path   string `json:"path"`
		Dir    bool   `json:"dir,omitempty"`
		Link   string `json:"link,omitempty"`   // relative, and ends inside
		Mode   string `json:"mode,omitempty"`   // permissions in octal
		Size   int64  `json:"size,omitempty"`   // in bytes
		Digest string `json:"sha256,omitempty"` // of the file
	}
)

// openAPIFile and pythonFile are what is derived.
const (
	openAPIFile = "../../docs/api/openapi.yaml"
	pythonFile  = "../../clients/python/src/ucp/types.py"
)

// docs/api/openapi.yaml, and the types of the Python client, are what follows from the routes, their parameters and what they need, from docs/api.md
// (whose statuses TestAPIDocStatuses compares with the code), and from the Go types that are encoded. Where they differ:
//
//	go test ./node/httpd -run TestOpenAPI -rewrite
func TestOpenAPI(t *testing.T) {
	s := newSchemas(t)
	document, err := yaml.MarshalWithOptions(openAPI(t, s), yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
	require.NoError(t, err)
	document = append([]byte("# Made by `go test ./node/httpd -run TestOpenAPI -rewrite`.\n"), document...)
	for file, want := range map[string][]byte{openAPIFile: document, pythonFile: []byte(s.python())} {
		if *rewrite {
			require.NoError(t, os.WriteFile(file, want, 0o644))
		}
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		line, is, says := firstDifference(string(want), string(got))
		require.Equal(t, is, says, "%s:%d does not say what the code does: go test ./node/httpd -run TestOpenAPI -rewrite, and read the diff", file, line)
	}
}

// firstDifference is the first line in which two texts differ; nothing of both where they are the same.
func firstDifference(a, b string) (line int, inA, inB string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(x), len(y)) {
		inA, inB = "(its end)", "(its end)"
		if i < len(x) {
			inA = x[i]
		}
		if i < len(y) {
			inB = y[i]
		}
		if inA != inB {
			return i + 1, inA, inB
		}
	}
	return 0, "", ""
}

// openAPI is the document.
func openAPI(t *testing.T, s *schemas) yaml.MapSlice {
	anyRoute := statusesIn(t, regexp.MustCompile(`(?m)^Statuses that any route may have: .*$`).FindString(apiDoc(t)))
	require.NotEmpty(t, anyRoute)
	paths := map[string]yaml.MapSlice{}
	var listed []string
	var last docRoute
	for _, row := range docRoutes(t) {
		if strings.Contains(row.parameters, "the same") {
			row.parameters = last.parameters
		}
		if strings.Contains(row.statuses, "the same") {
			row.statuses = last.statuses
		}
		if strings.TrimSpace(row.what) == "the same" {
			row.what = last.what
		}
		last = row
		listed = append(listed, row.pattern)
		x, told := exchanges[row.pattern]
		require.True(t, told, "exchanges says nothing of %s: what it reads and answers belongs there", row.pattern)
		method, path, _ := strings.Cut(row.pattern, " ")
		path, inPath := pathParameters(path)
		op := s.operation(t, row, x, inPath, anyRoute)
		paths[path] = append(paths[path], yaml.MapItem{Key: strings.ToLower(method), Value: op})
		if x.head {
			paths[path] = append(paths[path], yaml.MapItem{Key: "head", Value: s.operation(t, row, exchange{head: true}, inPath, anyRoute)})
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(exchanges)), listed, "a row of docs/api.md for each of exchanges")
	var sorted yaml.MapSlice
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		sorted = append(sorted, yaml.MapItem{Key: path, Value: paths[path]})
	}
	failure := s.ref(t, api.Error{})
	return yaml.MapSlice{
		{Key: "openapi", Value: "3.0.3"},
		{Key: "info", Value: yaml.MapSlice{
			{Key: "title", Value: "ucp, the broker of the Urban Compute Platform"},
			{Key: "version", Value: "1"},
			{Key: "description", Value: "What docs/api.md says, for programs. Any broker serves all of it, and answers for any job. Answers may get more fields: ignore those that you do not know."},
			{Key: "license", Value: yaml.MapSlice{{Key: "name", Value: "Apache-2.0"}, {Key: "url", Value: "https://www.apache.org/licenses/LICENSE-2.0"}}},
		}},
		{Key: "servers", Value: []yaml.MapSlice{{{Key: "url", Value: "http://" + api.DefaultAddr}, {Key: "description", Value: "a broker of no city"}}}},
		{Key: "security", Value: []yaml.MapSlice{{}, {{Key: "token", Value: []string{}}}}},
		{Key: "paths", Value: sorted},
		{Key: "components", Value: yaml.MapSlice{
			{Key: "securitySchemes", Value: yaml.MapSlice{{Key: "token", Value: yaml.MapSlice{
				{Key: "type", Value: "http"}, {Key: "scheme", Value: "bearer"},
				{Key: "description", Value: "Of `ucp token create`, at brokers of a city. There x-scope says what an operation takes; certificates of members do without."},
			}}}},
			{Key: "responses", Value: yaml.MapSlice{{Key: "Error", Value: yaml.MapSlice{
				{Key: "description", Value: "It was not done. Go by the code; with 429 and 503 come back after Retry-After where it is given."},
				{Key: "headers", Value: yaml.MapSlice{{Key: "Retry-After", Value: yaml.MapSlice{{Key: "description", Value: "in seconds"}, {Key: "schema", Value: yaml.MapSlice{{Key: "type", Value: "integer"}}}}}}},
				{Key: "content", Value: yaml.MapSlice{{Key: mediaJSON, Value: yaml.MapSlice{{Key: "schema", Value: failure}}}}},
			}}}},
			{Key: "schemas", Value: s.all()},
		}},
	}
}

// pathParameters turns the pattern of a path into that of OpenAPI, and lists its parameters; of those that may hold slashes it says so.
func pathParameters(path string) (string, []yaml.MapSlice) {
	var out []yaml.MapSlice
	for _, m := range regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`).FindAllStringSubmatch(path, -1) {
		p := yaml.MapSlice{{Key: "name", Value: m[1]}, {Key: "in", Value: "path"}, {Key: "required", Value: true}, {Key: "schema", Value: yaml.MapSlice{{Key: "type", Value: "string"}}}}
		if m[2] != "" {
			p = append(p, yaml.MapItem{Key: "x-slashes", Value: true})
		}
		out = append(out, p)
	}
	return strings.TrimSuffix(strings.ReplaceAll(path, "...}", "}"), "{$}"), out
}

// statusesIn lists the statuses in a text.
func statusesIn(t *testing.T, text string) (out []int) {
	for _, m := range regexp.MustCompile(`\b[1-5]\d\d\b`).FindAllString(text, -1) {
		n, err := strconv.Atoi(m)
		require.NoError(t, err)
		out = append(out, n)
	}
	return out
}

// links are those of Markdown; what they are on stays.
var links = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// operation is one of a path.
func (s *schemas) operation(t *testing.T, row docRoute, x exchange, inPath []yaml.MapSlice, anyRoute []int) yaml.MapSlice {
	need, listed := access.Needs[row.pattern]
	require.True(t, listed, "access.Needs has no %s", row.pattern)
	what := strings.TrimSpace(links.ReplaceAllString(row.what, "$1"))
	summary, _, _ := strings.Cut(what, ". ")
	summary, _, _ = strings.Cut(summary, ";")
	op := yaml.MapSlice{{Key: "summary", Value: summary}, {Key: "description", Value: what}, {Key: "x-scope", Value: need.String()}}
	if need == access.Nothing {
		op = append(op, yaml.MapItem{Key: "security", Value: []yaml.MapSlice{{}}})
	}
	all := inPath
	for _, name := range parameters[row.pattern] {
		all = append(all, queryParameter(name))
	}
	if len(all) > 0 {
		op = append(op, yaml.MapItem{Key: "parameters", Value: all})
	}
	if x.in != nil {
		op = append(op, yaml.MapItem{Key: "requestBody", Value: yaml.MapSlice{{Key: "required", Value: !x.optional}, {Key: "content", Value: s.contents(t, x.in)}}})
	}
	statuses := slices.Compact(slices.Sorted(slices.Values(append(statusesIn(t, row.statuses), anyRoute...))))
	var answers yaml.MapSlice
	for _, status := range statuses {
		key := strconv.Itoa(status)
		text := http.StatusText(status)
		switch {
		case status >= 400 && x.out != nil:
			answers = append(answers, yaml.MapItem{Key: key, Value: yaml.MapSlice{{Key: "$ref", Value: "#/components/responses/Error"}}})
		case status == http.StatusNotModified || status == http.StatusFound || x.out == nil:
			answers = append(answers, yaml.MapItem{Key: key, Value: yaml.MapSlice{{Key: "description", Value: text}}})
		default:
			answers = append(answers, yaml.MapItem{Key: key, Value: yaml.MapSlice{{Key: "description", Value: text}, {Key: "content", Value: s.contents(t, x.out)}}})
		}
	}
	return append(op, yaml.MapItem{Key: "responses", Value: answers})
}

// queryParameter is one of a query. docs/api.md says what it means where it is taken.
func queryParameter(name string) yaml.MapSlice {
	schema := yaml.MapSlice{{Key: "type", Value: "string"}}
	switch {
	case slices.Contains(yesOrNo, name):
		schema = append(schema, yaml.MapItem{Key: "enum", Value: []string{"1", "true", "0", "false"}})
	case slices.Contains(repeatable, name):
		schema = yaml.MapSlice{{Key: "type", Value: "array"}, {Key: "items", Value: schema}}
	case !slices.Contains(mayBeEmpty, name):
		schema = append(schema, yaml.MapItem{Key: "minLength", Value: 1})
	}
	return yaml.MapSlice{{Key: "name", Value: name}, {Key: "in", Value: "query"}, {Key: "allowEmptyValue", Value: slices.Contains(mayBeEmpty, name)}, {Key: "schema", Value: schema}}
}

// contents is what a body or an answer may be.
func (s *schemas) contents(t *testing.T, c content) (out yaml.MapSlice) {
	for _, media := range slices.Sorted(maps.Keys(c)) {
		var refs []yaml.MapSlice
		for _, v := range c[media] {
			if _, is := v.(bytesOf); is {
				refs = append(refs, yaml.MapSlice{{Key: "type", Value: "string"}, {Key: "format", Value: "binary"}})
			} else {
				refs = append(refs, s.ref(t, v))
			}
		}
		schema := refs[0]
		if len(refs) > 1 {
			schema = yaml.MapSlice{{Key: "anyOf", Value: refs}}
		}
		entry := yaml.MapSlice{{Key: "schema", Value: schema}}
		if media == mediaSSE || media == api.NDJSON && schema[0].Key == "$ref" {
			entry = append(entry, yaml.MapItem{Key: "x-each", Value: map[string]string{mediaSSE: "event", api.NDJSON: "line"}[media]})
		}
		out = append(out, yaml.MapItem{Key: media, Value: entry})
	}
	return out
}

// A change of a type, a route or a parameter that the document has not is noticed.
func TestOpenAPIHasEveryField(t *testing.T) {
	text, err := os.ReadFile(openAPIFile)
	require.NoError(t, err)
	for _, needle := range []string{"\n  /v1/jobs/{id}:", "      - name: dry_run", "x-scope: the scope operate", "    SpecDocument:", "        urgency:", "        coordinator_running:"} {
		require.True(t, strings.Contains(string(text), needle), fmt.Sprintf("openapi.yaml has no %q", needle))
	}
}
