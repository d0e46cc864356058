package node

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
)

// Bad requests get a clear 4xx that names what is wrong, and change nothing.
func TestBadRequestsChangeNothing(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	notWasm := []byte("#!/bin/sh\n")
	status, _ := request(t, n, "PUT", "/v1/blobs/"+digest(notWasm), notWasm)
	require.Equal(t, http.StatusCreated, status)
	d := digest(notWasm)
	aComponent := []byte("\x00asm\x0d\x00\x01\x00")
	component := digest(aComponent)
	status, _ = request(t, n, "PUT", "/v1/blobs/"+component, aComponent)
	require.Equal(t, http.StatusCreated, status)
	relaxed := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x07\x01\x05\x00\xfd\x80\x02\x0b")
	status, _ = request(t, n, "PUT", "/v1/blobs/"+digest(relaxed), relaxed)
	require.Equal(t, http.StatusCreated, status)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code, says               string
	}{
		{"no JSON", "POST", "/v1/jobs", `{"command":`, 400, api.CodeBadRequest, "unexpected EOF"},
		{"something behind", "POST", "/v1/jobs", `{"command":"x"} {}`, 400, api.CodeBadRequest, "follows"},
		{"unknown field", "POST", "/v1/jobs", `{"command":"x","colour":"red"}`, 400, api.CodeBadRequest, "colour"},
		{"wrong type", "POST", "/v1/jobs", `{"command":7}`, 400, api.CodeBadRequest, "command"},
		{"too large", "POST", "/v1/jobs", `{"command":"` + strings.Repeat("x", 17<<10) + `"}`, 413, api.CodeTooLarge, "16384"},
		{"no command", "POST", "/v1/jobs", `{}`, 422, api.CodeInvalid, "module"},
		{"bad driver", "POST", "/v1/jobs", `{"driver":"docker"}`, 422, api.CodeInvalid, "driver"},
		{"climbing path", "POST", "/v1/jobs", `{"command":"x","inputs":{"../etc/passwd":"` + d + `"}}`, 422, api.CodeInvalid, "../etc/passwd"},
		{"absolute path", "POST", "/v1/jobs", `{"command":"x","outputs":["/etc/shadow"]}`, 422, api.CodeInvalid, "outputs[0]"},
		{"hidden climb", "POST", "/v1/jobs", `{"command":"x","dirs":["a/../../b"]}`, 422, api.CodeInvalid, "dirs[0]"},
		{"a module that is not there", "POST", "/v1/jobs", `{"module":"data:tools/words"}`, 422, api.CodeInvalid, "module: no data tools/words is known here; nothing was taken"},
		{"a module that is not there, dry", "POST", "/v1/jobs?dry_run=1", `{"module":"data:tools/words"}`, 422, api.CodeInvalid, "module: no data tools/words is known here"},
		{"a module that is a prefix", "POST", "/v1/jobs", `{"module":"data:tools/"}`, 422, api.CodeInvalid, "want data: and the name of a file"},
		{"no emergency", "POST", "/v1/jobs", `{"command":"x","priority":{"user":5,"emergency":"flood 7"}}`, 422, api.CodeInvalid, "priority.emergency"},
		{"declared without type", "POST", "/v1/emergencies", `{"level":"high"}`, 422, api.CodeInvalid, "type"},
		{"declared at an odd level", "POST", "/v1/emergencies", `{"type":"flood","level":"none"}`, 422, api.CodeInvalid, "level"},
		{"declared with what brokers say", "POST", "/v1/emergencies", `{"type":"flood","level":"high","seq":7}`, 422, api.CodeInvalid, "set by the broker"},
		{"declared with an unknown field", "POST", "/v1/emergencies", `{"type":"flood","level":"high","colour":"red"}`, 422, api.CodeInvalid, "colour"},
		{"declared for too long", "POST", "/v1/emergencies", `{"type":"flood","level":"high","ttl":"1000h"}`, 422, api.CodeInvalid, "ttl"},
		{"a scope that fits into no event", "POST", "/v1/emergencies", `{"type":"flood","level":"high","scope":["name in (` + strings.Repeat("x,", 120) + `x)"]}`, 422, api.CodeInvalid, "fewer or shorter conditions"},
		{"clear of what is unknown", "DELETE", "/v1/emergencies/nobody", "", 404, api.CodeNotFound, "nobody"},
		{"no emergency ID", "GET", "/v1/emergencies/-x", "", 400, api.CodeBadRequest, "-x"},
		{"no kind of event", "GET", "/v1/events?kinds=odd", "", 400, api.CodeBadRequest, "odd"},
		{"events of nobody", "GET", "/v1/jobs/nobody/events", "", 404, api.CodeNotFound, "nobody"},
		{"missing blob", "POST", "/v1/jobs", `{"command":"x","stdin":"` + strings.Repeat("0", 64) + `"}`, 422, api.CodeMissingBlobs, "0000"},
		{"component", "POST", "/v1/jobs", `{"module":"` + component + `"}`, 422, api.CodeInvalid, "this is a WASI preview 2 component; build for wasip1"},
		{"relaxed SIMD", "POST", "/v1/jobs", `{"module":"` + digest(relaxed) + `"}`, 422, api.CodeInvalid, "it needs relaxed SIMD, which workers do not have"},
		{"an argument that is no text", "POST", "/v1/jobs", `{"command":"x","args":["a","\ud800"]}`, 400, api.CodeBadRequest, "args.1: invalid surrogate pair"},
		{"a variable that is no text", "POST", "/v1/jobs", "{\"command\":\"x\",\"env\":{\"A\":\"caf\xe9\"}}", 400, api.CodeBadRequest, "env.A: invalid UTF-8"},
		{"a path that is no text", "POST", "/v1/jobs", `{"command":"x","inputs":{"\udc00":"` + d + `"}}`, 400, api.CodeBadRequest, "inputs: invalid surrogate pair"},
		{"a message that is no text", "POST", "/v1/emergencies", `{"type":"flood","level":"high","message":"\ud800"}`, 422, api.CodeInvalid, "surrogate"},
		{"no wasm", "POST", "/v1/jobs", `{"module":"` + d + `"}`, 422, api.CodeInvalid, "not a WebAssembly module"},
		{"bad ID", "PUT", "/v1/jobs/-x", `{"command":"x"}`, 400, api.CodeBadRequest, "-x"},
		{"long ID", "PUT", "/v1/jobs/" + strings.Repeat("x", 65), `{"command":"x"}`, 400, api.CodeBadRequest, "64"},
		{"bad wait", "POST", "/v1/jobs?wait=soon", `{"command":"x"}`, 400, api.CodeBadRequest, "?wait=soon"},
		{"bad digest", "PUT", "/v1/blobs/xyz", "x", 400, api.CodeBadRequest, "SHA-256"},
		{"other bytes", "PUT", "/v1/blobs/" + strings.Repeat("0", 64), "x", 422, api.CodeInvalid, "SHA-256"},
		{"no such job", "GET", "/v1/jobs/nobody", "", 404, api.CodeNotFound, "nobody"},
		{"bad job ID", "GET", "/v1/jobs/..%2f..", "", 400, api.CodeBadRequest, "not a job ID"},
		{"bad state", "GET", "/v1/jobs?state=odd", "", 400, api.CodeBadRequest, "odd"},
		{"bad limit", "GET", "/v1/jobs?limit=0", "", 400, api.CodeBadRequest, "limit"},
		{"bad cursor", "GET", "/v1/jobs?after=!!", "", 400, api.CodeBadRequest, "after"},
		{"no causal token", "GET", "/v1/jobs/x?causal_token=%21%21", "", 400, api.CodeBadRequest, "not a causal token"},
		{"no causal token for a list", "GET", "/v1/jobs?causal_token=AAAA", "", 400, api.CodeBadRequest, "causal token"},
		{"long causal token", "GET", "/v1/jobs?causal_token=" + strings.Repeat("A", 5000), "", 400, api.CodeBadRequest, "at most 4096"},
		{"submit after rubbish", "POST", "/v1/jobs?causal_token=rubbish", `{"command":"x"}`, 400, api.CodeBadRequest, "causal token"},
		{"bad timeout", "GET", "/v1/jobs/x?timeout=soon", "", 400, api.CodeBadRequest, "?timeout=soon"},
		{"no such path", "GET", "/v2/jobs", "", 404, api.CodeNotFound, "/v2/jobs; docs/api.md lists what there is"},
		{"sync garbage", "POST", "/broker/sync-metadata", "garbage", 400, api.CodeBadRequest, "not understood"},
		{"sync too large", "POST", "/broker/sync-metadata", strings.Repeat("x", 3<<20), 400, api.CodeBadRequest, "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := request(t, n, c.method, c.path, []byte(c.body))
			require.Equal(t, c.status, status, body)
			m := fields(t, body)
			require.Equal(t, c.code, m["code"], body)
			require.Contains(t, m["error"], c.says)
			require.NotRegexp(t, `\bnil\b`, m["error"])
		})
	}
	_, body := request(t, n, "GET", "/v1/jobs", nil)
	require.Empty(t, fields(t, body)["jobs"], "a refused request left a job behind")
}

// A sync message packed to explode is refused without being unpacked (rule L11).
func TestCompressedBombIsRefused(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	packer, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	bomb := packer.EncodeAll(make([]byte, 64<<20), nil)
	require.Less(t, len(bomb), 1<<20)
	status, body := request(t, n, "POST", "/broker/sync-metadata", bomb, "Content-Encoding", "zstd")
	require.Equal(t, http.StatusBadRequest, status, body)
}

func TestSubmitWaitAndRead(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	status, body := request(t, n, "PUT", "/v1/jobs/first?wait=10s", []byte(`{"command":"true"}`))
	require.Equal(t, http.StatusAccepted, status, body) // alone: degraded
	m := fields(t, body)
	require.Equal(t, float64(1), m["replicas"])
	require.Equal(t, true, m["degraded"])
	require.Equal(t, float64(3), m["wanted"])
	require.Equal(t, "succeeded", m["job"].(map[string]any)["state"])

	_, body = request(t, n, "GET", "/v1/jobs/fir", nil)
	m = fields(t, body)
	for _, name := range []string{"id", "state", "origin", "owner", "executor", "attempt", "exit_code", "provisional",
		"submitted_at", "started_at", "finished_at", "accepted", "rejected", "as_of"} {
		require.Contains(t, m, name)
	}
	require.Equal(t, "first", m["id"])
	require.Equal(t, "a", m["executor"])
	require.Equal(t, false, m["provisional"], "alone, every member knows it")

	// The same again is the same job; another spec under its ID is a conflict (J3).
	status, body = request(t, n, "PUT", "/v1/jobs/first", []byte(`{"command":"true","cpu":1}`))
	require.Equal(t, 400, status, body)
	status, _ = request(t, n, "PUT", "/v1/jobs/first", []byte(`{"command":"true"}`))
	require.Equal(t, http.StatusAccepted, status)
	status, body = request(t, n, "PUT", "/v1/jobs/first", []byte(`{"command":"false"}`))
	require.Equal(t, http.StatusConflict, status, body)

	status, body = request(t, n, "POST", "/v1/jobs", []byte("command: stay\nlabels: {kind: test}\n"), "Content-Type", "application/yaml")
	require.Equal(t, http.StatusAccepted, status, body)
	id := fields(t, body)["id"].(string)
	status, body = request(t, n, "GET", "/v1/jobs/"+id+"/stdout", nil)
	require.Equal(t, http.StatusConflict, status, body)
	status, body = request(t, n, "DELETE", "/v1/jobs/"+id, nil)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "cancelled", fields(t, body)["state"])
	status, body = request(t, n, "GET", "/v1/jobs/"+id+"/stdout", nil)
	require.Equal(t, http.StatusOK, status, body)
	require.Empty(t, body)
	status, body = request(t, n, "DELETE", "/v1/jobs/first", nil)
	require.Equal(t, http.StatusConflict, status, body)
}

func TestListPages(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	for _, id := range []string{"j1", "j2", "j3"} {
		status, body := request(t, n, "PUT", "/v1/jobs/"+id+"?wait=10s", []byte(`{"command":"true"}`))
		require.Equal(t, http.StatusAccepted, status, body)
	}
	var ids []string
	next := ""
	for range 3 {
		_, body := request(t, n, "GET", "/v1/jobs?limit=2&state=succeeded&after="+next, nil)
		m := fields(t, body)
		for _, j := range m["jobs"].([]any) {
			ids = append(ids, j.(map[string]any)["id"].(string))
		}
		if next = m["next"].(string); next == "" {
			break
		}
	}
	require.Equal(t, []string{"j3", "j2", "j1"}, ids)
	_, body := request(t, n, "GET", "/v1/jobs?count=1&limit=1&state=succeeded,failed", nil)
	require.Equal(t, map[string]any{"succeeded": 3.0}, fields(t, body)["counts"])
	require.Empty(t, fields(t, body)["jobs"])
	status, body := request(t, n, "GET", "/v1/jobs/j", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, "j1, j2, j3")
}

// Blobs are stored once, under what they are.
func TestBlobs(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	b := bytes.Repeat([]byte("flood "), 100_000)
	path := "/v1/blobs/" + digest(b)
	status, _ := request(t, n, "HEAD", path, nil)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = request(t, n, "PUT", path, b)
	require.Equal(t, http.StatusCreated, status)
	status, body := request(t, n, "PUT", path, b)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, float64(len(b)), fields(t, body)["size"])
	status, body = request(t, n, "GET", path, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(b), body)
}

func TestStatusPages(t *testing.T) {
	n := startNode(t, Config{Name: "a", Labels: map[string]string{"district": "7"}})
	_, body := request(t, n, "GET", "/broker/coordination-status", nil)
	m := fields(t, body)
	for _, name := range []string{"coordinator_running", "total_peers", "healthy_peers", "unhealthy_peers", "last_sync_time", "peer_brokers"} {
		require.Contains(t, m, name)
	}
	_, body = request(t, n, "GET", "/broker/metadata", nil)
	row := fields(t, body)["brokers"].(map[string]any)["a"].(map[string]any)
	require.Equal(t, "7", row["capabilities"].(map[string]any)["labels"].(map[string]any)["district"])
	_, body = request(t, n, "GET", "/v1/members", nil)
	require.Len(t, fields(t, body)["members"], 1)
	status, body := request(t, n, "GET", "/metrics", nil)
	require.Equal(t, http.StatusOK, status)
	for _, name := range []string{"ucp_jobs_unfinished", "ucp_capacity_memory_bytes", "go_goroutines"} {
		require.Contains(t, body, name)
	}
	status, _ = request(t, n, "GET", "/healthz", nil)
	require.Equal(t, http.StatusOK, status)
}

// Over HTTP an operator gives up a broker that is away, and no other; the list of members says who takes part (rule M2).
func TestMembersAreGivenUpOverHTTP(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	away := []membership.Member{{Name: "z", Actor: "z~1", Status: membership.Failed, Protocol: wire.Version}, {Name: "y", Actor: "y~1", Status: membership.Alive, Protocol: wire.Version}}
	require.Eventually(t, func() bool {
		n.engine.Tell(broker.Roster{Members: away}) // Serf's own word, which comes each three seconds, is another
		status, body := request(t, n, "DELETE", "/v1/members/y", nil)
		return status == http.StatusConflict && strings.Contains(body, `"reachable"`)
	}, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		n.engine.Tell(broker.Roster{Members: away})
		status, body := request(t, n, "DELETE", "/v1/members/z", nil)
		return status == http.StatusOK && fields(t, body)["losses"] == 1.0 && fields(t, body)["replicas"] == 1.0
	}, 10*time.Second, 10*time.Millisecond)
	for path, want := range map[string]int{"z": http.StatusNotFound, "nobody": http.StatusNotFound, "no%20name": http.StatusBadRequest} {
		status, body := request(t, n, "DELETE", "/v1/members/"+path, nil)
		require.Equal(t, want, status, body)
	}
}
