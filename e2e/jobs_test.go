package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// The main job, end to end: whatever broker is asked, the job's output and exit
// code come back byte for byte, also through one that did not run it.
func TestRunAnywhere(t *testing.T) {
	brokers := startCluster(t, 3)
	dir := t.TempDir()
	input := make([]byte, 300_000)
	_, err := rand.Read(input)
	require.NoError(t, err)
	file := filepath.Join(dir, "input.bin")
	require.NoError(t, os.WriteFile(file, input, 0o644))
	for i, a := range brokers {
		r := a.ucp("run", guestModule, "--stdin", file, "--", "echo", string(rune('0'+i)))
		require.Equal(t, i, r.code, r.stderr)
		require.Equal(t, string(input), r.stdout)
		require.Equal(t, "done\n", r.stderr)
	}

	r := brokers[0].ucp("run", "--detach", "--id", "copy-1", guestModule, "--input", "in.bin="+file, "--output", "out/copy.bin", "--dir", "out", "--", "copy", "in.bin", "out/copy.bin")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "copy-1\n", r.stdout)
	for _, a := range brokers {
		r = a.ucp("job", "wait", "copy-1")
		require.Equal(t, 0, r.code, r.stderr)
		to := t.TempDir()
		r = a.ucp("job", "result", "copy", "--to", to)
		require.Equal(t, 0, r.code, r.stderr)
		got := findFile(t, to, "copy.bin")
		require.True(t, bytes.Equal(input, got), "%s: %d bytes came back of %d", a.name, len(got), len(input))
	}
	r = brokers[2].ucp("job", "get", "copy-1", "-o", "json")
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, `"succeeded"`)
	require.Regexp(t, `Copies: +3 of 3 \(`+brokers[0].name+`, `+brokers[1].name+`, `+brokers[2].name+`\)\n`, brokers[1].ucp("job", "get", "copy-1").stdout)
}

// findFile reads the one file of that name below a folder.
func findFile(t *testing.T, dir, name string) (content []byte) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			content, err = os.ReadFile(path)
		}
		return err
	}))
	return content
}

// A job that loops endlessly or eats memory harms only itself.
func TestBadJobsHarmOnlyThemselves(t *testing.T) {
	a := startCluster(t, 1)[0]
	r := a.ucp("run", "--timeout", "1s", guestModule, "--", "loop")
	require.Equal(t, 124, r.code, "as timeout(1) has it")
	require.Contains(t, r.stderr, "timeout")
	r = a.ucp("run", "--memory", "32MiB", guestModule, "--", "eat")
	require.NotEqual(t, 0, r.code)
	require.Contains(t, strings.ToLower(r.stderr), "memory")
	r = a.ucp("run", wordsModule, "--stdin", "jobs_test.go", "--", "-top", "1")
	require.Equal(t, 0, r.code, r.stderr)
	r = a.ucp("run", "jobs_test.go")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "WebAssembly")
	r = a.ucp("run", "--driver", "process", "--place-timeout", "500ms", "/bin/true")
	require.Equal(t, 2, r.code, "native programs are off unless the agent allows them")
	require.Contains(t, r.stderr, "driver process")
}

func TestProcessDriver(t *testing.T) {
	a := startCluster(t, 1, "--allow-process")[0]
	r := a.ucp("run", "--driver", "process", "/bin/sh", "--", "-c", "echo out; echo err >&2; exit 7")
	require.Equal(t, 7, r.code)
	require.Equal(t, "out\n", r.stdout)
	require.Regexp(t, `^ucp: job \w+ is saved on 1 broker only \(3 wanted\): lost if that disk is lost\nerr\n$`, r.stderr, "there is no other one")
	r = a.ucp("run", "--driver", "process", "/bin/sh", "--", "-c", "kill -TERM $$")
	require.Equal(t, 128+15, r.code, r.stderr)
}

// Killed with SIGKILL and started again, a broker has its name and its jobs back,
// under a new actor (rule I1), and its unfinished jobs run (rule J6).
func TestKilledBrokerComesBack(t *testing.T) {
	brokers := startCluster(t, 3)
	b := brokers[1]
	r := b.ucp("run", "--detach", "--id", "long", guestModule, "--", "sleep", "3s")
	require.Equal(t, 0, r.code, r.stderr)
	r = b.ucp("run", "--id", "short", guestModule, "--", "sleep", "1ms")
	require.Equal(t, 0, r.code, r.stderr)
	b.signal(syscall.SIGKILL, 5*time.Second)
	require.Equal(t, 0, brokers[0].ucp("job", "get", "short").code, "the others know what it acknowledged")

	again := startAgent(t, "", b.dir, "--retry-join", brokers[0].gossip)
	require.True(t, strings.HasPrefix(again.actor, "b~"), again.actor)
	require.NotEqual(t, b.actor, again.actor)
	j, err := again.client.Job(t.Context(), "short", 0)
	require.NoError(t, err)
	require.Equal(t, job.StateSucceeded, j.State)
	j, err = again.client.Wait(t.Context(), "long", api.WaitOptions{})
	require.NoError(t, err)
	require.Equal(t, job.StateSucceeded, j.State, j.Reason)
}

// SIGTERM leaves the cluster in good order; a second one ends at once.
func TestSignals(t *testing.T) {
	brokers := startCluster(t, 3)
	require.True(t, brokers[2].signal(syscall.SIGTERM, 20*time.Second).Success())
	eventually(t, 10*time.Second, "c has left", func() bool {
		return strings.Contains(brokers[0].serf("members", "-status=left").stdout, "c ")
	})
	b := brokers[1]
	eventually(t, 2*time.Second, "b has ended", func() bool {
		_ = b.Cmd.Process.Signal(syscall.SIGTERM) // two that are pending together count as one
		select {
		case <-b.Done:
			return true
		default:
			return false
		}
	})
	require.False(t, b.Cmd.ProcessState.Success())
}

func TestAgentRefusesWhatItShould(t *testing.T) {
	for flag, args := range map[string][]string{
		"--http-addr": {"--http-addr", "0.0.0.0:0"},
		"--http-addr: 127.0.0.1:0: only this machine":  {"--insecure", "--bind", "0.0.0.0:0", "--http-addr", "127.0.0.1:0"},
		"--http-advertise: 0.0.0.0:8000: it means all": {"--http-advertise", "0.0.0.0:8000"},
		"--rpc-addr": {"--rpc-addr", "0.0.0.0:0"},
		"--bind":     {"--bind", "0.0.0.0:0"},
		"--join":     {"--join", "127.0.0.1:1", "--bind", "127.0.0.1:0", "--rpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"},
	} {
		r := run(t, nil, ucpBinary, append([]string{"agent", "--name", "x", "--data-dir", t.TempDir()}, args...)...)
		require.Equal(t, 1, r.code)
		require.Contains(t, r.stderr, flag)
	}
	a := startCluster(t, 1)[0]
	r := run(t, nil, ucpBinary, "agent", "--data-dir", a.dir, "--bind", "127.0.0.1:0", "--rpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "in use by another ucp agent")
}

// What a running job writes can be watched at any broker, and ends with it.
func TestRunningJobIsWatched(t *testing.T) {
	brokers := startCluster(t, 2, "--allow-process")
	r := brokers[0].ucp("run", "--detach", "--id", "long", "--driver", "process", "sh", "--", "-c", "echo begun; echo trouble >&2; exec sleep 600")
	require.Equal(t, 0, r.code, r.stderr)
	var open []io.ReadCloser
	for _, a := range brokers {
		c, err := api.New(a.http)
		require.NoError(t, err)
		for stderr, want := range map[bool]string{false: "begun\n", true: "trouble\n"} {
			l, err := c.Follow(t.Context(), "lon", api.FollowOptions{Stderr: stderr})
			require.NoError(t, err)
			open = append(open, l)
			got := make([]byte, len(want))
			_, err = io.ReadFull(l, got)
			require.NoError(t, err)
			require.Equal(t, want, string(got), "the job still runs")
			rest, err := c.Follow(t.Context(), "long", api.FollowOptions{Stderr: stderr, From: 2})
			require.NoError(t, err)
			open = append(open, rest)
			_, err = io.ReadFull(rest, got[2:])
			require.NoError(t, err)
			require.Equal(t, want[2:], string(got[2:]))
		}
	}
	require.Equal(t, 0, brokers[1].ucp("job", "cancel", "long").code)
	for _, l := range open {
		more, err := io.ReadAll(l)
		require.NoError(t, err, "the answer ends with the attempt")
		require.Empty(t, more)
		require.NoError(t, l.Close())
	}
	for _, a := range brokers {
		require.Equal(t, result{stdout: "begun\n", stderr: "trouble\n"}, a.ucp("job", "logs", "-f", "long"))
	}
}

// A job is given what another one has left, wherever that one ran, also before it has ended; and it says what was not left.
func TestJobsReadOfJobs(t *testing.T) {
	brokers := startCluster(t, 2, "--allow-process")
	tell := func(r result) string {
		t.Helper()
		require.Equal(t, 0, r.code, r.stderr)
		return r.stdout
	}
	tell(brokers[0].ucp("run", "--detach", "--id", "prep", "--driver", "process", "sh", "--output", "maps/", "--output", "day", "--constraint", "name="+brokers[0].name,
		"--", "-c", "sleep 0.3; mkdir maps; echo north >maps/n; date -u +%F >day; echo prepared"))
	join := []string{"run", "--id", "join", "--driver", "process", "sh", "--stdin", "job:prep/stdout", "--input", "today=job:prep/out/day", "--input", "in/=job:prep/out/maps/",
		"--input", "nothing=job:prep/stderr", "--constraint", "name=" + brokers[1].name, "--", "-c", "cat - in/n nothing; test -s today && echo of today"}
	require.Equal(t, "prepared\nnorth\nof today\n", tell(brokers[1].ucp(join...)))
	shown := tell(brokers[0].ucp("job", "get", "join"))
	require.Contains(t, shown, "today (job:prep/out/day), stdin (job:prep/stdout)")
	require.Regexp(t, `Has read: +prep, as it ended at .* by `+brokers[0].name, shown)
	r := brokers[1].ucp("run", guestModule, "--input", "x=job:prep/out/night", "--", "sleep", "1ms")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "it reads out/night of job prep, which has left stdout, out/day, out/maps/")
	require.Equal(t, "prepared\nprepared\n", tell(brokers[0].ucp("run", guestModule, "--array", "0-1", "--stdin", "job:prep/stdout", "--", "echo", "0")))
}

// One command, many jobs: each has its own input, what they write comes back in their order, and all verbs choose them as
// one, at each broker.
func TestArray(t *testing.T) {
	brokers := startCluster(t, 2)
	dir := t.TempDir()
	var lines, want strings.Builder
	for i := range 60 {
		name := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(name, fmt.Appendf(nil, "tile %d\n", i), 0o600))
		fmt.Fprintln(&lines, name)
		fmt.Fprintf(&want, "tile %d\n", i)
	}
	each := filepath.Join(dir, "each")
	require.NoError(t, os.WriteFile(each, []byte(lines.String()), 0o600))
	r := brokers[0].ucp("run", "--each", each, "--id", "tiles", "--detach", guestModule, "--stdin", "{}", "--", "echo", "0")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "tiles\n", r.stdout)
	r = brokers[1].ucp("run", "--after", "tiles[0-59]", "--id", "report", "--detach", guestModule, "--", "echo", "0") // that broker may know none of them yet
	require.Equal(t, 0, r.code, r.stderr)
	r = brokers[1].ucp("job", "wait", "--label", "array=tiles")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, 60, strings.Count(r.stdout, "succeeded"))
	require.Equal(t, "succeeded  60\nall        60\n", brokers[1].ucp("job", "list", "--label", "array=tiles", "--count").stdout)

	r = brokers[0].ucp("run", "--each", each, "--id", "tiles", guestModule, "--stdin", "{}", "--", "echo", "0")
	require.Equal(t, 0, r.code, "the same array is the same jobs: %s", r.stderr)
	require.Equal(t, want.String(), r.stdout)
	r = brokers[0].ucp("run", "--array", "0-2", "--id", "codes", guestModule, "--", "echo", "{index}")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "ucp: 2 of 3 jobs have not succeeded:\n  codes.1 failed: exit code 1\n  codes.2 failed: exit code 2\n")

	require.Equal(t, 0, brokers[0].ucp("job", "wait", "report").code)
	require.Contains(t, brokers[0].ucp("job", "get", "report").stdout, "tiles[0-59]")
	require.Equal(t, 0, brokers[1].ucp("run", "--after", "tiles", guestModule, "--", "echo", "0").code)
	r = brokers[0].ucp("run", "--after", "codes", guestModule, "--", "echo", "0")
	require.Equal(t, 1, r.code)
	require.Regexp(t, "codes.[12], one of the 3 jobs of codes.0-2., which it runs after, has failed", r.stderr)
	require.Equal(t, 0, brokers[0].ucp("run", "--after", "codes", "--after-any-end", guestModule, "--", "echo", "0").code)
}
