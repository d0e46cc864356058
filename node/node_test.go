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
	"go.uber.org/goleak"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
)

// TestMain is also the body of a worker and of a spawner: the executor starts this binary again
// with the arguments "worker" and "spawner".
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		if err := executor.RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "spawner" {
		if err := executor.RunSpawner(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// instant is a runner whose jobs succeed at once; those with the command "stay"
// run until they are stopped.
type instant struct{ report func(executor.Update) }

func (r instant) Start(t executor.Task) {
	if t.Spec.Command == "stay" {
		go r.report(executor.Update{Key: t.Key, Attempt: t.Attempt, Phase: executor.PhaseLoaded})
		return
	}
	zero := 0
	now := clock.At(time.Now())
	go r.report(executor.Update{Key: t.Key, Attempt: t.Attempt, Result: &job.Result{
		Outcome: job.Succeeded, ExitCode: &zero, Started: now, Finished: now,
	}})
}

func (r instant) Stop(key, attempt string) {
	go r.report(executor.Update{Key: key, Attempt: attempt, Stopped: true, Result: &job.Result{}})
}

func (r instant) StopAndKeep(key, attempt string) { r.Stop(key, attempt) }

func (instant) Suspend(string, string) {}
func (instant) Resume(string, string)  {}
func (instant) Prepare(job.Digest)     {}
func (instant) FreeDisk(int64) int64   { return 0 }
func (r instant) Close() error         { return nil }

func (instant) Probe(context.Context) error { return nil }

// startNode runs a node on loopback, at ports that the kernel gives, until the
// test ends.
func startNode(t *testing.T, cfg Config) *Node {
	t.Helper()
	cfg.Bind, cfg.RPCAddr, cfg.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.Runner == nil {
		cfg.Runner = func(c RunnerConfig) (Runner, error) { return instant{c.Report}, nil }
	}
	cfg.AllowProcess = true
	n, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		http.DefaultClient.CloseIdleConnections()
	})
	require.Eventually(t, func() bool {
		status, _ := request(t, n, "GET", "/readyz", nil)
		return status == http.StatusOK
	}, 10*time.Second, 5*time.Millisecond)
	return n
}

// Who asks a broker that has begun just now waits until it knows itself.
func TestRequestsWaitForTheFirstOverview(t *testing.T) {
	n, err := New(Config{Name: "a", Bind: "127.0.0.1:0", RPCAddr: "-", HTTPAddr: "127.0.0.1:0", DataDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	n.life.run("http", n.serve)
	answered := make(chan string, 1)
	go func() {
		_, body := request(t, n, "GET", "/broker/coordination-status", nil)
		answered <- body
	}()
	select {
	case body := <-answered:
		t.Fatal("there was nothing to tell yet, and this was told:", body)
	case <-time.After(50 * time.Millisecond):
	}
	n.shown.set(&broker.Overview{Protocol: wire.Version})
	require.Equal(t, float64(wire.Version), fields(t, <-answered)["protocol"])
}

// request sends one request and returns status and body.
func request(t *testing.T, n *Node, method, path string, body []byte, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+n.listener.Addr().String()+path, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func fields(t *testing.T, body string) map[string]any {
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &m), body)
	return m
}
