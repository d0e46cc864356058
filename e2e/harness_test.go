// Package e2e runs the product as its users do: the real ucp binary in real
// processes, the stock serf command line, and signals. It has tests only. All
// servers listen on loopback, on ports that the kernel gave, and end with their
// test.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/process"
)

// What TestMain builds, in a folder that goes with the tests.
var ucpBinary, serfBinary, wordsModule, primesModule, guestModule, smokeModule string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ucp-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ucpBinary, serfBinary = filepath.Join(dir, "ucp"), filepath.Join(dir, "serf")
		wordsModule, guestModule = filepath.Join(dir, "words.wasm"), filepath.Join(dir, "guest.wasm")
		primesModule = filepath.Join(dir, "primes.wasm")
		smokeModule = filepath.Join(dir, "wasi-smoke.wasm")
		for _, b := range []struct{ out, pkg, env string }{
			{ucpBinary, "github.com/urban-compute/ucp/cmd/ucp", ""},
			{serfBinary, "github.com/hashicorp/serf/cmd/serf", ""},
			{wordsModule, "github.com/urban-compute/ucp/examples/words", "GOOS=wasip1 GOARCH=wasm"},
			{primesModule, "github.com/urban-compute/ucp/examples/primes", "GOOS=wasip1 GOARCH=wasm"},
			{guestModule, "./testdata/guest", "GOOS=wasip1 GOARCH=wasm"},
			{smokeModule, "./testdata/smoke", "GOOS=wasip1 GOARCH=wasm"},
		} {
			if err := process.Build(b.out, b.pkg, strings.Fields(b.env)...); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

// agent is one real broker process.
type agent struct {
	*process.Agent
	t                        *testing.T
	name, dir                string
	gossip, rpc, http, actor string
	client                   *api.Client
}

// startAgent starts a broker and waits until its first log line has named what it
// bound. It is killed when the test ends, if it has not ended before.
func startAgent(t *testing.T, name, dir string, args ...string) *agent {
	t.Helper()
	return startAgentAt(t, name, dir, 0, args...)
}

// startAgentAt is startAgent for a broker that says something else in its first lines of the log.
func startAgentAt(t *testing.T, name, dir string, before int, args ...string) *agent {
	t.Helper()
	a := &agent{t: t, name: name, dir: dir}
	a.Agent = process.Start(t, name, before, exec.Command(ucpBinary, append([]string{"agent", "--name", name, "--data-dir", dir, "--bind", "127.0.0.1:0",
		"--rpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"}, args...)...))
	select {
	case line := <-a.First:
		var up struct{ Msg, Gossip, RPC, HTTP, Actor string }
		require.NoError(t, json.Unmarshal([]byte(line), &up), line)
		require.Equal(t, "broker is up", up.Msg, line)
		a.gossip, a.rpc, a.http, a.actor = up.Gossip, up.RPC, up.HTTP, up.Actor
	case <-time.After(time.Minute):
		t.Fatalf("%s says nothing", name)
	}
	var err error
	a.client, err = api.New(a.http)
	require.NoError(t, err)
	t.Cleanup(a.client.Close)
	return a
}

// startFails starts a broker that does not start, and returns what it says.
func startFails(t *testing.T, name, dir string, args ...string) string {
	t.Helper()
	r := run(t, nil, ucpBinary, append([]string{"agent", "--name", name, "--data-dir", dir, "--bind", "127.0.0.1:0",
		"--rpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"}, args...)...)
	require.Equal(t, 1, r.code, r.stderr)
	return r.stderr
}

// startCluster starts brokers a, b, c... that see each other.
func startCluster(t *testing.T, n int, args ...string) []*agent {
	t.Helper()
	var out []*agent
	for i := range n {
		with := args
		if i > 0 {
			with = append([]string{"--join", out[0].gossip}, args...)
		}
		out = append(out, startAgent(t, string(rune('a'+i)), t.TempDir(), with...))
	}
	for _, a := range out {
		a.seesHealthy(n - 1)
	}
	return out
}

// seesHealthy waits until the broker sees so many healthy peers.
func (a *agent) seesHealthy(n int) {
	a.t.Helper()
	eventually(a.t, 30*time.Second, fmt.Sprintf("%s sees %d healthy peers", a.name, n), func() bool {
		s, err := a.client.Coordination(a.t.Context())
		return err == nil && s.HealthyPeers == n
	})
}

// signal sends a signal and waits until the process has ended.
func (a *agent) signal(s syscall.Signal, within time.Duration) *os.ProcessState {
	a.t.Helper()
	require.NoError(a.t, a.Cmd.Process.Signal(s))
	select {
	case <-a.Done:
		return a.Cmd.ProcessState
	case <-time.After(within):
		a.t.Fatalf("%s still runs %v after %v", a.name, within, s)
		return nil
	}
}

// eventually waits for what real processes do in real time.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	process.Eventually(t, within, what, holds)
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a command to its end.
func run(t *testing.T, stdin io.Reader, name string, args ...string) result {
	t.Helper()
	return runIn(t, "", nil, stdin, name, args...)
}

// runIn is run in a directory and an environment, "" and nil for those of the test.
func runIn(t *testing.T, dir string, env []string, stdin io.Reader, name string, args ...string) result {
	t.Helper()
	return runWithin(t, 90*time.Second, dir, env, stdin, name, args...)
}

// runWithin is runIn for what may take another time.
func runWithin(t *testing.T, within time.Duration, dir string, env []string, stdin io.Reader, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, err bytes.Buffer
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &err
	_ = cmd.Run() // the exit code says it
	require.NoError(t, ctx.Err(), "%s %v does not end; stderr:\n%s", name, args, &err)
	return result{out.String(), err.String(), cmd.ProcessState.ExitCode()}
}

// ucp runs the command line against this broker.
func (a *agent) ucp(args ...string) result {
	a.t.Helper()
	return run(a.t, nil, ucpBinary, append([]string{"--addr", a.http}, args...)...)
}

// serf runs the stock serf command line against this broker's RPC address.
func (a *agent) serf(verb string, args ...string) result {
	a.t.Helper()
	return run(a.t, nil, serfBinary, append([]string{verb, "-rpc-addr=" + a.rpc}, args...)...)
}
