package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/test/contract"
)

// contracted sends requests to a node, and compares them and their answers with docs/api/openapi.yaml.
type contracted struct {
	*contract.Checker
	t    *testing.T
	base string
}

// contractWith makes the checker of a node.
func contractWith(t *testing.T, n *Node) *contracted {
	c, err := contract.New(http.DefaultTransport)
	require.NoError(t, err)
	return &contracted{c, t, "http://" + n.listener.Addr().String()}
}

// send sends a request, whose answer has this status, and returns the answer's body.
func (c *contracted) send(want int, method, path, body string, header ...string) string {
	c.t.Helper()
	req, err := http.NewRequest(method, c.base+path, bytes.NewReader([]byte(body)))
	require.NoError(c.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.RoundTrip(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, want, resp.StatusCode, "%s %s: %.500s", method, path, b)
	return string(b)
}

// ofCities are the operations that only brokers of a city, or only brokers among themselves, have: the tests of cities in package e2e
// send them (TestAnswersOfACity), or nobody can who is no broker.
var ofCities = map[string]string{
	"GET /broker/keyring":               "brokers of a city ask each other",
	"POST /broker/secrets":              "brokers of a city ask each other",
	"GET /broker/sheets":                "brokers of a city ask each other",
	"GET /broker/word":                  "brokers ask each other",
	"POST /broker/word":                 "brokers ask each other",
	"POST /broker/sync-metadata":        "brokers ask each other",
	"GET /v1/blobs/{digest}/chunks":     "brokers ask each other; it is no JSON",
	"POST /v1/invites":                  "TestAnswersOfACity",
	"POST /v1/admissions":               "TestAnswersOfACity",
	"GET /v1/authorities":               "TestAnswersOfACity",
	"POST /v1/authorities":              "TestAnswersOfACity",
	"DELETE /v1/authorities/{key}":      "TestAnswersOfACity",
	"GET /v1/recipients":                "TestAnswersOfACity",
	"GET /v1/revocations":               "TestAnswersOfACity",
	"POST /v1/revocations":              "TestAnswersOfACity",
	"GET /v1/audit":                     "TestAnswersOfACity",
	"PUT /v1/log-level":                 "TestAnswersOfACity",
	"GET /v1/log-level":                 "TestAnswersOfACity",
	"GET /v1/jobs/{id}/outputs/{path}":  "TestAnswersOfACity, with a job that leaves one",
	"HEAD /v1/jobs/{id}/outputs/{path}": "TestAnswersOfACity, with a job that leaves one",
}

// Every operation of docs/api/openapi.yaml is there, and what a real broker answers is what stands in it: each status, each field, and no other.
func TestAnswersAreThoseOfTheDocument(t *testing.T) {
	n := startNode(t, Config{Name: "a", Replicas: 1, DrainTimeout: -1, Labels: map[string]string{"district": "7"}})
	c := contractWith(t, n)
	c.jobs()
	c.contents()
	c.decisions()
	c.brokers()
	c.givenUp(n)
	c.events()
	c.carried()
	require.Empty(t, c.Wrong())
	for _, op := range c.Operations() {
		succeeded := 0
		for status, times := range c.Seen(op) {
			if status < 400 {
				succeeded += times
			}
		}
		if ofCities[op] == "" {
			require.NotZero(t, succeeded, "%s was not answered with a success: send it here", op)
		}
	}
}

func (c *contracted) jobs() {
	c.send(201, "POST", "/v1/jobs", `{"command":"true"}`)
	c.send(201, "PUT", "/v1/jobs/first?wait=10s&timeout=1s", `{"command":"true","args":["x"],"env":{"A":"b"},"labels":{"kind":"test"},"priority":{"user":9,"weight":2.5,"urgency":0.25},"resources":{"cpu":200,"disk":4096},"retries":{"max":1,"backoff":"2s"},"timeout":"1m"}`)
	c.send(200, "PUT", "/v1/jobs/first", `{"command":"true","args":["x"],"env":{"A":"b"},"labels":{"kind":"test"},"priority":{"user":9,"weight":2.5,"urgency":0.25},"resources":{"cpu":200,"disk":4096},"retries":{"max":1,"backoff":"2s"},"timeout":"1m"}`)
	c.send(409, "PUT", "/v1/jobs/first", `{"command":"false"}`)
	c.send(201, "POST", "/v1/jobs", "command: stay\n", "Content-Type", "application/yaml")
	c.send(200, "POST", "/v1/jobs?dry_run=1", `{"command":"true","priority":{"emergency":"high"}}`)
	c.send(422, "POST", "/v1/jobs", `{"command":""}`)
	c.send(415, "POST", "/v1/jobs", `{}`, "Content-Type", "text/plain")
	c.send(200, "POST", "/v1/jobs:batch", "{\"id\":\"b1\",\"spec\":{\"command\":\"stay\"}}\n{\"id\":\"b2\",\"spec\":{\"command\":\"stay\",\"after\":[\"b1\"]}}\n{\"id\":\"b3\",\"spec\":{}}\n", "Content-Type", "application/x-ndjson")
	c.send(200, "POST", "/v1/plans?dry_run=1", `{"text":"jobs:\n  a: {comand: x}\n"}`)
	c.send(201, "POST", "/v1/plans", `{"id":"plan","name":"p.yaml","text":"jobs:\n  a: {command: stay}\n  b: {command: stay, after: [a]}\n"}`)
	c.send(422, "POST", "/v1/plans", `{"id":"plan","name":"p.yaml","text":"jobs:\n  a: {command: stay, stdin: no.txt}\n"}`)
	c.send(200, "GET", "/v1/jobs?label=kind%3Dtest&state=succeeded,failed&limit=1&after=", "")
	c.send(200, "GET", "/v1/jobs?count=1", "")
	c.send(200, "GET", "/v1/jobs?urgent=1&limit=10", "")
	c.send(400, "GET", "/v1/jobs?color=red", "")
	c.send(200, "GET", "/v1/jobs/first?copies=1&causal_token=", "")
	c.send(200, "GET", "/v1/jobs/b2", "")
	c.send(404, "GET", "/v1/jobs/nobody", "")
	c.send(200, "GET", "/v1/jobs/first/stdout", "")
	c.send(200, "HEAD", "/v1/jobs/first/stdout", "")
	c.send(200, "GET", "/v1/jobs/first/stderr", "")
	c.send(200, "HEAD", "/v1/jobs/first/stderr", "")
	c.send(200, "GET", "/v1/jobs/first/result?format=tar", "")
	c.send(200, "GET", "/v1/jobs/first/result", "")
	c.send(404, "GET", "/v1/jobs/first/outputs/no/such", "")
	c.send(409, "GET", "/v1/jobs/b1/stdout", "")
	c.send(200, "DELETE", "/v1/jobs/b1", "")
	c.send(200, "GET", "/v1/jobs/b1", "")
	c.send(409, "DELETE", "/v1/jobs/first", "")
}

func (c *contracted) contents() {
	content := "five bytes"
	d := digest([]byte(content))
	put := func(want int, path, body string) {
		c.send(want, "PUT", path, body, "Content-Type", "application/octet-stream")
	}
	put(201, "/v1/blobs/"+d, content)
	put(200, "/v1/blobs/"+d, content)
	put(422, "/v1/blobs/"+digest([]byte("other")), content)
	c.send(200, "GET", "/v1/blobs/"+d, "")
	c.send(206, "GET", "/v1/blobs/"+d, "", "Range", "bytes=2-3")
	c.send(304, "GET", "/v1/blobs/"+d, "", "If-None-Match", `"`+d+`"`)
	c.send(200, "HEAD", "/v1/blobs/"+d, "")
	c.send(404, "HEAD", "/v1/blobs/"+digest([]byte("other")), "")
	manifest := fmt.Sprintf("{\"manifest\":1,\"entries\":[\n{\"path\":\"a.txt\",\"mode\":\"0644\",\"size\":%d,\"sha256\":\"%s\"},\n{\"path\":\"b.txt\",\"mode\":\"0644\",\"size\":1,\"sha256\":\"%s\"}\n]}\n", len(content), d, digest([]byte("z")))
	m := digest([]byte(manifest))
	put(201, "/v1/blobs/"+m, manifest)
	c.send(200, "GET", "/v1/blobs/"+m+"?missing=1", "")
	put(201, "/v1/blobs/"+digest([]byte("z")), "z")

	put(201, "/v1/data/sensors/today", content)
	c.send(200, "PUT", "/v1/data/sensors/today?digest="+d, "")
	c.send(409, "PUT", "/v1/data/sensors/today?digest="+d+"&if=none", "")
	c.send(201, "PUT", "/v1/data/sensors/maps?directory=1&digest="+m, "")
	c.send(200, "GET", "/v1/data/sensors/today", "")
	c.send(200, "HEAD", "/v1/data/sensors/today", "")
	c.send(200, "GET", "/v1/data/sensors/maps", "")
	c.send(200, "GET", "/v1/data/sensors/maps?path=a.txt", "")
	c.send(200, "GET", "/v1/data/sensors/today?versions=1&wait=1s", "")
	c.send(200, "GET", "/v1/data/sensors/?limit=1&after=&removed=1", "")
	c.send(404, "GET", "/v1/data/sensors/yesterday", "")
	c.send(200, "DELETE", "/v1/data/sensors/today", "")
	c.send(200, "GET", "/v1/data/?removed=1", "")
	c.send(404, "GET", "/v1/data/sensors/today?versions=1", "")
}

func (c *contracted) decisions() {
	c.send(200, "GET", "/v1/strategy", "")
	c.send(200, "PUT", "/v1/strategy", `{"strategy":"fcfs","cluster":true}`)
	c.send(422, "PUT", "/v1/strategy", `{"strategy":"none"}`)
	c.send(201, "PUT", "/v1/jobs/big", `{"command":"stay","resources":{"cpu":1000000},"priority":{"user":1},"exclusive":"road"}`)
	for _, id := range []string{"k1", "k2", "k3"} {
		c.send(201, "PUT", "/v1/jobs/"+id, `{"command":"stay","exclusive":"crane"}`)
	}
	var list string
	require.Eventually(c.t, func() bool {
		list = c.send(200, "GET", "/v1/conflicts?limit=5", "")
		return len(fields(c.t, list)["conflicts"].([]any)) > 0
	}, 10*time.Second, 10*time.Millisecond)
	id := fields(c.t, list)["conflicts"].([]any)[0].(map[string]any)["id"].(string)
	c.send(200, "GET", "/v1/conflicts/"+id, "")
	c.send(200, "GET", "/v1/conflicts/"+id+"?bundle=1", "")
	c.send(404, "GET", "/v1/conflicts/none", "")
	c.send(200, "GET", "/broker/conflict-statistics", "")
	c.send(201, "POST", "/v1/emergencies", `{"id":"flood-1","type":"flood","level":"critical","scope":["district=7"],"select":["kind=pump"],"ttl":"1h","message":"the river"}`)
	c.send(200, "POST", "/v1/emergencies", `{"id":"flood-1","type":"flood","level":3}`)
	c.send(422, "POST", "/v1/emergencies", `{"type":"flood","level":"9"}`)
	c.send(200, "GET", "/v1/emergencies", "")
	c.send(200, "GET", "/v1/emergencies/flood-1", "")
	c.send(404, "GET", "/v1/emergencies/nobody", "")
	c.send(200, "GET", "/broker/coordination-status", "")
	c.send(200, "GET", "/broker/metadata", "")
	c.send(200, "DELETE", "/v1/emergencies/flood-1", "")
}

func (c *contracted) brokers() {
	c.send(200, "GET", "/v1/members", "", "Ucp-Ask", "1")
	c.send(200, "GET", "/broker/coordination-status?ask=1", "")
	c.send(200, "GET", "/broker/digest?records=1", "")
	c.send(200, "PUT", "/v1/members/a/drain?deadline=1h", "")
	c.send(200, "GET", "/v1/members", "")
	c.send(200, "GET", "/broker/coordination-status", "")
	c.send(200, "DELETE", "/v1/members/a/drain", "")
	c.send(404, "PUT", "/v1/members/nobody/drain", "")
	c.send(409, "DELETE", "/v1/members/a", "")
	c.send(200, "GET", "/broker/debug", "")
	c.send(409, "GET", "/v1/authorities", "")
	c.send(200, "GET", "/metrics", "")
	c.send(200, "GET", "/healthz", "")
	c.send(200, "GET", "/readyz", "")
	c.send(200, "GET", "/broker/views", "")
	c.send(200, "GET", "/v1/caller", "")
	c.send(200, "GET", "/ui/", "")
	c.send(404, "GET", "/ui/none", "")
	c.send(302, "GET", "/", "")
	require.Contains(c.t, c.send(200, "GET", "/v1/openapi.yaml", ""), "\nopenapi: 3.")
}

// givenUp gives up a broker that is away (rule M2).
func (c *contracted) givenUp(n *Node) {
	away := []membership.Member{{Name: "z", Actor: "z~1", Status: membership.Failed, Protocol: wire.Version}}
	require.Eventually(c.t, func() bool {
		n.engine.Tell(broker.Roster{Members: away}) // Serf's own word, which comes each three seconds, is another
		req, err := http.NewRequest(http.MethodDelete, c.base+"/v1/members/z", nil)
		require.NoError(c.t, err)
		resp, err := c.RoundTrip(req)
		require.NoError(c.t, err)
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
}

// carried packs a file, which comes last: a broker that it admits is waited for.
func (c *contracted) carried() {
	file := c.send(200, "POST", "/v1/carry/pack?for=b&admit=1&whole=1", "")
	c.send(200, "POST", "/v1/carry/unpack?dry_run=1", file, "Content-Type", "application/octet-stream")
}

// events reads a few of what happens, also of one job.
func (c *contracted) events() {
	c.stream("/v1/events?kinds=job,strategy,emergency,data", func() {
		c.send(201, "PUT", "/v1/jobs/told", `{"command":"stay"}`)
		c.send(201, "PUT", "/v1/data/told", "x", "Content-Type", "application/octet-stream")
		c.send(200, "PUT", "/v1/strategy", `{"strategy":"priority"}`)
	})
	c.stream("/v1/jobs/told/events", func() { c.send(200, "DELETE", "/v1/jobs/told", "") })
}

// stream reads a stream of events until one has come of what is done meanwhile.
func (c *contracted) stream(path string, do func()) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	require.NoError(c.t, err)
	resp, err := c.RoundTrip(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	do()
	var got []byte
	for b := make([]byte, 4096); !bytes.Contains(got, []byte("\ndata: ")); {
		n, err := resp.Body.Read(b)
		require.NoError(c.t, err)
		got = append(got, b[:n]...)
	}
}
