package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"log/slog"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/executor"
)

// fakeRunner is for tests of this package that need no worker.
type fakeRunner struct{ report func(executor.Update) }

func (f fakeRunner) Start(t executor.Task)    {}
func (f fakeRunner) Stop(key, attempt string) {}
func (f fakeRunner) Close() error             { return nil }

func startNode(t *testing.T, name string, join ...string) *Node {
	n, err := New(Config{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Name:   name, DataDir: t.TempDir(), Bind: "127.0.0.1:0", RPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0",
		Join: join, AllowProcess: true,
		Runner: func(c RunnerConfig) (Runner, error) { return fakeRunner{c.Report}, nil },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + n.listener.Addr().String() + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	}, 5*time.Second, 10*time.Millisecond)
	return n
}

func TestThreeNodesSmoke(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.pool.Addr())
	c := startNode(t, "c", a.pool.Addr())
	for _, n := range []*Node{a, b, c} {
		require.Eventually(t, func() bool { return n.coordination().HealthyPeers == 2 }, 10*time.Second, 50*time.Millisecond)
	}
	blob := []byte("hello")
	sum := sha256.Sum256(blob)
	d := hex.EncodeToString(sum[:])
	req, _ := http.NewRequest("PUT", "http://"+b.listener.Addr().String()+"/v1/blobs/"+d, bytes.NewReader(blob))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, 201, resp.StatusCode)
	spec := fmt.Sprintf(`{"command":"true","stdin":%q}`, d)
	resp, err = http.Post("http://"+b.listener.Addr().String()+"/v1/jobs", "application/json", bytes.NewReader([]byte(spec)))
	require.NoError(t, err)
	body, _ := io.ReadAll(resp.Body)
	var s api.Submission
	require.NoError(t, json.Unmarshal(body, &s))
	t.Log(resp.Status, string(body))
	require.Equal(t, 3, s.Replicas)
	for _, n := range []*Node{a, b, c} {
		resp, err := http.Get("http://" + n.listener.Addr().String() + "/v1/jobs/" + string(s.ID))
		require.NoError(t, err)
		body, _ := io.ReadAll(resp.Body)
		t.Log(string(body))
		require.Equal(t, 200, resp.StatusCode)
	}
}
