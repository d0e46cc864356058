package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// entries are the files of a gzipped tar, by name.
func entries(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	out := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		out[h.Name] = string(b)
	}
}

// showsEveryMetric checks that a broker that has run a job shows each metric that docs/metrics.md lists, and no other, but for those of
// what was not: a city, jobs that wait, statements that were refused, what can only be told at the second look.
func showsEveryMetric(t *testing.T, scrape string) {
	t.Helper()
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	listed, shown := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(ucp_\\w+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (ucp_\w+) `).FindAllStringSubmatch(scrape, -1) {
		shown[m[1]] = true
	}
	require.NotEmpty(t, listed)
	for _, name := range []string{"ucp_forks", "ucp_forged_total", "ucp_heads_refused_total", "ucp_oldest_waiting_seconds", "ucp_gossip_refused_total", "ucp_http_errors_total", "ucp_used_cpu_cores", "ucp_used_memory_bytes"} {
		require.True(t, listed[name], name)
		if !shown[name] {
			delete(listed, name)
		}
	}
	require.Equal(t, listed, shown)
}

// A bundle has what helps, of one broker or of all, and nothing of what was planted where secrets are: in a job's
// environment, arguments, input and output, in the broker's own environment, and in a command that finds others.
func TestDebugBundle(t *testing.T) {
	const secret = "swordfish-4711"
	t.Setenv("E2E_TOKEN", secret)
	dir := t.TempDir()
	b := startAgent(t, "b", t.TempDir(), "--retry-join", "exec:printf '%s' nowhere.invalid; echo "+secret+" >&2; false")
	eventually(t, time.Minute, "the command has failed, and that is in the log", func() bool { return strings.Contains(b.Said(), "exec:") })
	a := startAgent(t, "a", t.TempDir(), "--allow-process", "--join", b.gossip) // while others are there it fails in silence
	a.seesHealthy(1)
	input := filepath.Join(dir, "in")
	require.NoError(t, os.WriteFile(input, []byte(secret), 0o600))
	r := a.ucp("run", "--id", "keeps-silent", "--driver", "process", "--constraint", "name=a", "--env", "TOKEN="+secret, "--stdin", input, "/bin/sh", "--", "-c", "cat; echo $TOKEN; echo "+secret+" >&2; exit 3")
	require.Equal(t, 3, r.code, r.stderr)
	require.Contains(t, r.stdout, secret)

	file := filepath.Join(dir, "one.tar.gz")
	r = a.ucp("debug", "bundle", "-o", file)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, "of a")
	one := entries(t, file)
	for _, name := range []string{"about.json", "config.json", "status.json", "members.json", "metadata.json", "digests.json", "metrics.txt", "log.txt", "goroutines.txt"} {
		require.NotEmpty(t, one["a/"+name], name)
	}
	require.Contains(t, one["a/goroutines.txt"], "goroutine ")
	require.Contains(t, one["a/log.txt"], "broker is up")
	require.Contains(t, one["a/digests.json"], "keeps-silent")
	require.Contains(t, one["a/config.json"], `"log-level": "info"`)
	require.NotContains(t, one, "a/pprof/heap.pb.gz")

	file = filepath.Join(dir, "all.tar.gz")
	r = a.ucp("debug", "bundle", "--all", "--pprof", "-o", file)
	require.Zero(t, r.code, r.stderr)
	all := entries(t, file)
	showsEveryMetric(t, all["a/metrics.txt"])
	for _, name := range []string{"a", "b"} {
		require.NotEmpty(t, all[name+"/status.json"])
		require.NotEmpty(t, all[name+"/pprof/heap.pb.gz"])
		require.NotEmpty(t, all[name+"/pprof/cpu.pb.gz"])
	}
	require.Contains(t, all["b/log.txt"], "is left out")
	for _, files := range []map[string]string{one, all} {
		for name, text := range files {
			require.NotContains(t, text, secret, name)
		}
	}
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	// Who is silent is named, and the others are in it.
	require.False(t, b.signal(syscall.SIGKILL, 30*time.Second).Success())
	eventually(t, 60*time.Second, "a sees that b is gone", func() bool { return strings.Contains(a.ucp("members").stdout, "failed") })
	t.Chdir(dir)
	r = a.ucp("debug", "bundle", "--all", "-o", "json")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "nothing is in it of b: failed")
	var said struct {
		File    string
		Brokers []string
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &said), r.stdout)
	require.Equal(t, []string{"a"}, said.Brokers)
	require.NotEmpty(t, entries(t, said.File)["a/status.json"])
	require.Equal(t, 1, a.ucp("debug", "bundle", "-o", filepath.Join(dir, "no", "such", "dir")).code)
}

// The level of a running broker's log is changed, shown, and refused when there is no such level.
func TestLogLevel(t *testing.T) {
	a := startAgent(t, "a", t.TempDir())
	require.Equal(t, "a logs from info on\n", a.ucp("agent", "log-level").stdout)
	require.NotContains(t, a.Said(), `"level":"DEBUG"`)
	r := a.ucp("agent", "log-level", "debug")
	require.Equal(t, result{"a logs from debug on\n", "", 0}, r)
	startAgent(t, "b", t.TempDir(), "--join", a.gossip) // gossip says something of it at that level
	eventually(t, 30*time.Second, "the level has changed", func() bool { return strings.Contains(a.Said(), `"level":"DEBUG"`) })
	require.Contains(t, a.Said(), "the log level was changed")
	require.JSONEq(t, `{"name":"a","level":"error"}`, a.ucp("agent", "log-level", "error", "-o", "json").stdout)
	require.Equal(t, `ucp: level "debgu": did you mean debug? want one of debug, info, warn, error`+"\n", a.ucp("agent", "log-level", "debgu").stderr)
	require.Equal(t, 1, a.ucp("agent", "log-level", "loud").code)
	require.Contains(t, a.ucp("agent", "log-level").stdout, "from error on")
	require.True(t, a.signal(syscall.SIGTERM, 30*time.Second).Success())
}
