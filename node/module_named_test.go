package node

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/module"
)

// A module may be named data: it is looked up, and looked at, when the job is submitted, and the answer says which version it is.
// The same job again is the same, whatever became of the name (rule D8).
func TestAModuleByItsName(t *testing.T) {
	first, second := []byte("\x00asm\x01\x00\x00\x00"), []byte("\x00asm\x01\x00\x00\x00\x00\x02\x01x")
	n := startNode(t, Config{Name: "a", Replicas: 1})
	const path = "/v1/data/tools/quake"
	put := func(path string, content []byte) {
		status, body := request(t, n, "PUT", path, content)
		require.Equal(t, http.StatusCreated, status, body)
	}
	submit := func(how, path, spec string) (int, api.Submission, string) {
		status, body := request(t, n, how, path, []byte(spec))
		var s api.Submission
		_ = json.Unmarshal([]byte(body), &s)
		return status, s, body
	}
	const spec = `{"module":"data:tools/quake","constraints":["name=nowhere"]}`
	put(path, first)
	status, s, body := submit("PUT", "/v1/jobs/j1", spec)
	require.Equal(t, http.StatusCreated, status, body)
	require.Equal(t, "tools/quake", s.Module.Name)
	require.EqualValues(t, digest(first), s.Module.Digest)
	require.Equal(t, "a", s.Module.Broker)
	require.NotZero(t, s.Module.At)

	put(path, second)
	status, s, body = submit("PUT", "/v1/jobs/j1", spec)
	require.Equal(t, http.StatusOK, status, body)
	require.EqualValues(t, digest(first), s.Module.Digest, "it keeps its module")
	status, s, body = submit("PUT", "/v1/jobs/j2", spec)
	require.Equal(t, http.StatusCreated, status, body)
	require.EqualValues(t, digest(second), s.Module.Digest)
	status, _, body = submit("PUT", "/v1/jobs/j1", `{"module":"`+digest(second)+`","constraints":["name=nowhere"]}`)
	require.Equal(t, http.StatusConflict, status, body)
	_, body = request(t, n, "GET", "/v1/jobs/j1", nil)
	require.Equal(t, "data:tools/quake", fields(t, body)["spec"].(map[string]any)["module"])
	require.Equal(t, digest(first), fields(t, body)["module"].(map[string]any)["digest"])
	status, body = request(t, n, "POST", "/v1/jobs?dry_run=1", []byte(spec))
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, digest(second), fields(t, body)["module"].(map[string]any)["digest"])

	status, _ = request(t, n, "DELETE", path, nil)
	require.Equal(t, http.StatusOK, status)
	status, s, body = submit("PUT", "/v1/jobs/j1", spec)
	require.Equal(t, http.StatusOK, status, body)
	require.EqualValues(t, digest(first), s.Module.Digest, "though the name was removed")
	status, _, body = submit("PUT", "/v1/jobs/j3", spec)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, body, "module: data tools/quake was removed")

	unknown := causal.Context{{Dot: clock.Dot{Actor: "z~1", Counter: 9}}}.Token()
	status, _, body = submit("POST", "/v1/jobs?timeout=10ms&causal_token="+unknown, spec)
	require.Equal(t, http.StatusGatewayTimeout, status, "what its client has seen of the name is not known here yet")
	require.Contains(t, body, "nothing was taken")
	put("/v1/data/tools/water", first)
	_, _, body = submit("POST", "/v1/jobs", `{"module":"data:tools/watr"}`)
	require.Contains(t, body, "module: no data tools/watr is known here; did you mean tools/water?")
	put("/v1/data/tools/text", []byte("#!/bin/sh\n"))
	_, _, body = submit("POST", "/v1/jobs", `{"module":"data:tools/text"}`)
	require.Contains(t, body, "not a WebAssembly module")
	manifest := []byte(`{"manifest":1,"entries":[]}`)
	status, _ = request(t, n, "PUT", "/v1/blobs/"+digest(manifest), manifest)
	require.Equal(t, http.StatusCreated, status)
	put("/v1/data/tools/all?directory=1&digest="+digest(manifest), nil)
	for _, query := range []string{"", "?dry_run=1"} {
		_, _, body = submit("POST", "/v1/jobs"+query, `{"module":"data:tools/all"}`)
		require.Contains(t, body, "module: data tools/all is a directory, and a module is a file")
	}
}

// The lines of a batch that name one module run the same version; a line whose name is not known keeps no other out.
func TestABatchOfModulesByName(t *testing.T) {
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	n := startNode(t, Config{Name: "a", Replicas: 1})
	status, body := request(t, n, "PUT", "/v1/data/tools/quake", wasm)
	require.Equal(t, http.StatusCreated, status, body)
	out := sendBatch(t, n,
		`{"id":"one","spec":{"module":"data:tools/quake","constraints":["name=nowhere"]}}`,
		`{"id":"two","spec":{"module":"data:tools/quak"}}`,
		`{"id":"three","spec":{"module":"data:tools/quake","constraints":["name=nowhere"],"after":["one"]}}`,
		`{"id":"one","spec":{"module":"data:tools/quake","constraints":["name=nowhere"]}}`)
	require.Contains(t, out[1].Error.Message, "did you mean tools/quake?")
	for _, i := range []int{0, 2, 3} {
		require.Nil(t, out[i].Error)
		require.Equal(t, i != 3, out[i].Created)
		require.EqualValues(t, digest(wasm), out[i].Module.Digest)
	}
}

// A broker takes no job whose named module it does not run.
func TestNamedModulesThatAreAllowed(t *testing.T) {
	listed, other := []byte("\x00asm\x01\x00\x00\x00"), []byte("\x00asm\x01\x00\x00\x00\x00\x02\x01x")
	policy, err := module.ParsePolicy([]string{digest(listed)})
	require.NoError(t, err)
	n := startNode(t, Config{Name: "a", Replicas: 1, AllowModules: policy})
	for i, content := range [][]byte{listed, other} {
		status, body := request(t, n, "PUT", "/v1/data/tools/quake", content)
		require.Equal(t, http.StatusCreated, status, body)
		status, body = request(t, n, "POST", "/v1/jobs", []byte(`{"module":"data:tools/quake"}`))
		require.Equal(t, []int{http.StatusCreated, http.StatusUnprocessableEntity}[i], status, body)
		require.Equal(t, i == 1, !json.Valid([]byte(body)) || fields(t, body)["error"] != nil)
	}
}

// A broker that knows a job, and does not hold its module, brings it before it acknowledges the same job again (rules A1, D8); and one that
// takes a job brings what the name stands for.
func TestAModuleIsBrought(t *testing.T) {
	first, second := []byte("\x00asm\x01\x00\x00\x00"), []byte("\x00asm\x01\x00\x00\x00\x00\x02\x01x")
	a := startNode(t, Config{Name: "a", Replicas: 1})
	b := startNode(t, Config{Name: "b", Replicas: 1, Join: []string{a.members.gossipAddr()}})
	const path, spec = "/v1/data/tools/quake", `{"module":"data:tools/quake","constraints":["name=nowhere"]}`
	put := func(content []byte) {
		status, body := request(t, a, "PUT", path, content)
		require.Equal(t, http.StatusCreated, status, body)
	}
	knows := func(path, what string) {
		require.Eventually(t, func() bool {
			status, body := request(t, b, "GET", path, nil)
			return status == http.StatusOK && strings.Contains(body, what)
		}, 10*time.Second, 10*time.Millisecond)
	}
	submit := func(n *Node, id, want string) {
		status, body := request(t, n, "PUT", "/v1/jobs/"+id, []byte(spec))
		require.Less(t, status, 300, body)
		require.Equal(t, want, fields(t, body)["module"].(map[string]any)["digest"], body)
	}
	put(first)
	submit(a, "j1", digest(first))
	put(second)
	knows(path+"?versions=1", digest(second))
	knows("/v1/jobs/j1", digest(first))
	_, here := b.store.Blobs().Has(digest(first))
	require.False(t, here)
	submit(b, "j1", digest(first))
	_, here = b.store.Blobs().Has(digest(first))
	require.True(t, here)
	submit(b, "j2", digest(second))
	_, here = b.store.Blobs().Has(digest(second))
	require.True(t, here)
	status, _ := request(t, a, "DELETE", path, nil)
	require.Equal(t, http.StatusOK, status)
	submit(b, "j1", digest(first))
	for _, l := range sendBatch(t, b, `{"id":"j1","spec":`+spec+`}`) {
		require.Nil(t, l.Error)
		require.EqualValues(t, digest(first), l.Module.Digest)
	}
}
