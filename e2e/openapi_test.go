package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/test/contract"
)

// inspected is a member of a city that compares all that brokers answer with docs/api/openapi.yaml.
type inspected struct {
	*contract.Checker
	t    *testing.T
	base string
}

// ask sends a request, whose answer has this status, and decodes it into out, which may be nil.
func (x *inspected) ask(want int, method, path string, in, out any) {
	x.t.Helper()
	var body []byte
	if in != nil {
		var err error
		body, err = json.Marshal(in)
		require.NoError(x.t, err)
	}
	req, err := http.NewRequest(method, x.base+path, bytes.NewReader(body))
	require.NoError(x.t, err)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := x.RoundTrip(req)
	require.NoError(x.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(x.t, err)
	require.Equal(x.t, want, resp.StatusCode, "%s %s: %.500s", method, path, b)
	if out != nil {
		require.NoError(x.t, json.Unmarshal(b, out), "%s", b)
	}
}

// What brokers of a city answer is what docs/api/openapi.yaml says, too, where only they answer (TestAnswersAreThoseOfTheDocument, package node, has
// the rest).
func TestAnswersOfACity(t *testing.T) {
	founder, a := beginCity(t, "--allow-process")
	b := startAgentAt(t, "b", filepath.Join(t.TempDir(), "b"), 1, "--invite", founder.invite(a, "--name", "b"), "--allow-process")
	founder.sees(a, "a", "b")
	self, err := city.Open(city.At(filepath.Join(founder.dir, "identity")), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	rt := &http.Transport{TLSClientConfig: self.ClientTLS()}
	t.Cleanup(rt.CloseIdleConnections)
	check, err := contract.New(rt)
	require.NoError(t, err)
	x := &inspected{check, t, "https://" + a.http}

	var out api.Submission
	x.ask(202, "PUT", "/v1/jobs/leaves?wait=30s", map[string]any{"command": "/bin/sh", "args": []string{"-c", "mkdir d; echo x >d/f; echo y >out.txt"}, "outputs": []string{"d/", "out.txt"}}, &out)
	require.Equal(t, "succeeded", string(out.Job.State), out.Job.Reason)
	for _, path := range []string{"out.txt", "d/", "d/f"} {
		x.ask(200, "GET", "/v1/jobs/leaves/outputs/"+path, nil, nil)
		x.ask(200, "HEAD", "/v1/jobs/leaves/outputs/"+path, nil, nil)
	}
	x.ask(200, "GET", "/v1/jobs/leaves", nil, nil)
	x.ask(200, "GET", "/v1/members", nil, nil)
	x.ask(200, "GET", "/broker/coordination-status?ask=1", nil, nil)
	x.ask(200, "GET", "/broker/metadata", nil, nil)
	x.ask(200, "GET", "/v1/log-level", nil, nil)
	x.ask(200, "PUT", "/v1/log-level", map[string]string{"level": "debug"}, nil)
	x.ask(422, "PUT", "/v1/log-level", map[string]string{"level": "loud"}, nil)
	x.ask(200, "GET", "/v1/audit", nil, nil)
	x.ask(200, "GET", "/v1/recipients", nil, nil)

	var invite api.Invite
	x.ask(201, "POST", "/v1/invites", api.Invitation{Name: "kim", Role: "client", TTL: "1h"}, &invite)
	x.ask(422, "POST", "/v1/invites", api.Invitation{Role: "king"}, nil)
	x.ask(403, "POST", "/v1/admissions", api.Arrival{Ticket: make([]byte, 10), Key: make([]byte, 32)}, nil)
	x.ask(201, "POST", "/v1/invites", api.Invitation{Name: "lee", Role: "client"}, &invite)
	lee := &person{t, t.TempDir()}
	require.Contains(t, lee.must("login", invite.Code), "you are lee (client)")

	var keys api.Authorities
	x.ask(200, "GET", "/v1/authorities", nil, &keys)
	const another = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	x.ask(200, "POST", "/v1/authorities", api.AuthorityOrder{Key: another}, nil)
	x.ask(200, "GET", "/v1/authorities", nil, &keys)
	require.Len(t, keys.Authorities, 2)
	x.ask(200, "DELETE", "/v1/authorities/"+another, api.AuthorityOrder{}, nil)
	x.ask(200, "POST", "/v1/revocations", api.RevocationOrder{Member: "lee"}, nil)
	x.ask(200, "GET", "/v1/revocations", nil, nil)
	b.signal(9, time.Minute)
	x.ask(200, "GET", "/v1/members", nil, nil)

	require.Empty(t, check.Wrong())
	for _, op := range []string{"GET /v1/audit", "POST /v1/invites", "DELETE /v1/authorities/{key}", "HEAD /v1/jobs/{id}/outputs/{path}", "GET /v1/revocations"} {
		require.NotEmpty(t, check.Seen(op), op)
	}
}
