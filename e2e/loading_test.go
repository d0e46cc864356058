package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/slow"
)

// A module that compiles for far longer than its job may: the job loads, wherever one looks, is moved when its broker leaves,
// and ends as its timeout wants (rule J14).
func TestLoading(t *testing.T) {
	brokers := startCluster(t, 2)
	a, b := brokers[0], brokers[1]
	module := filepath.Join(t.TempDir(), "slow.wasm")
	require.NoError(t, os.WriteFile(module, slow.Module(800, 20000), 0o600))

	r := a.ucp("run", "--timeout", "2s", module)
	require.Equal(t, 124, r.code, r.stderr)
	require.Contains(t, r.stderr, "it timed out while its module was being compiled")

	require.Equal(t, 0, a.ucp("run", "--detach", "--id", "slow", "--constraint", "name="+a.name, module).code)
	require.Equal(t, 0, a.ucp("run", "--detach", "--id", "moves", module).code)
	state := func(at *agent, id, want string) func() bool {
		return func() bool {
			j, err := at.client.Job(t.Context(), id, 0)
			return err == nil && string(j.State) == want && (want != "loading" || len(j.Attempts) > 0 && j.Attempts[len(j.Attempts)-1].State == want)
		}
	}
	for _, at := range brokers {
		eventually(t, 20*time.Second, at.name+" says that it loads", state(at, "slow", "loading"))
		eventually(t, 20*time.Second, at.name+" says that it loads", state(at, "moves", "loading"))
		require.Contains(t, at.ucp("job", "list", "--state", "loading").stdout, "slow")
	}
	require.Equal(t, 0, a.ucp("job", "cancel", "slow").code)
	eventually(t, 10*time.Second, "it is cancelled", state(b, "slow", "cancelled"))
	moves, err := a.client.Job(t.Context(), "moves", 0)
	require.NoError(t, err)
	at := brokers[slices.IndexFunc(brokers, func(x *agent) bool { return x.name == moves.Executor })]
	other := brokers[slices.IndexFunc(brokers, func(x *agent) bool { return x != at })]
	at.signal(syscall.SIGTERM, 20*time.Second)
	eventually(t, 20*time.Second, "it loads at the other one", state(other, "moves", "loading"))
	now, err := other.client.Job(t.Context(), "moves", 0)
	require.NoError(t, err)
	require.Equal(t, other.name, now.Executor)
	require.Zero(t, now.Try, "no retry was spent")
}

// TestModuleFigures measures how long twenty jobs of one module wait at three brokers, one of which has it compiled. The module is
// gofmt of the Go distribution.
func TestModuleFigures(t *testing.T) {
	if os.Getenv("UCP_FIGURES") == "" {
		t.Skip("a measurement: set UCP_FIGURES")
	}
	module := filepath.Join(t.TempDir(), "gofmt.wasm")
	build := exec.Command("go", "build", "-o", module, "cmd/gofmt")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	brokers := startCluster(t, 3, "--cpu", "2")
	require.Equal(t, 0, brokers[0].ucp("run", "--constraint", "name="+brokers[0].name, module).code)
	time.Sleep(3 * time.Second) // so that the others have heard of it
	for i := range 20 {
		r := brokers[1].ucp("run", "--detach", "--id", fmt.Sprintf("j%02d", i), "--cpu", "1", module)
		require.Equal(t, 0, r.code, r.stderr)
	}
	var waits []time.Duration
	at := map[string]int{}
	for i := range 20 {
		id := fmt.Sprintf("j%02d", i)
		eventually(t, 10*time.Minute, id+" ends", func() bool {
			j, err := brokers[1].client.Job(t.Context(), id, 0)
			if err != nil || !j.State.Final() {
				return false
			}
			require.Equal(t, job.StateSucceeded, j.State, j.Reason)
			waits = append(waits, j.FinishedAt.Time().Sub(j.SubmittedAt.Time()))
			at[j.Executor]++
			return true
		})
	}
	slices.Sort(waits)
	t.Logf("from submission to end: median %.1f s, longest %.1f s; they ran at %v", waits[10].Seconds(), waits[19].Seconds(), at)
	t.Log(strings.TrimSpace(brokers[1].ucp("members").stdout))
}
