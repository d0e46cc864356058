package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The key of a cluster's gossip is replaced by the stock command line while jobs run: none is lost, all stay members, also
// over a restart, and who has only the old key is not heard any more (rule G4).
func TestKeysAreReplaced(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	first := filepath.Join(dir, "keyring")
	require.Equal(t, 0, run(t, nil, ucpBinary, "keygen", first).code)
	r := run(t, nil, ucpBinary, "keygen", first)
	require.NotEqual(t, 0, r.code)
	require.Contains(t, r.stderr, "exists")
	keys, err := os.ReadFile(first)
	require.NoError(t, err)
	rpcKey := strings.TrimSpace(run(t, nil, ucpBinary, "keygen").stdout)
	rpc := file("rpc", rpcKey+"\n")

	start := func(name string, args ...string) *agent {
		ring := filepath.Join(dir, "keyring-"+name)
		if _, err := os.Stat(ring); err != nil {
			file("keyring-"+name, string(keys))
		}
		return startAgent(t, name, filepath.Join(dir, name), append([]string{"--keyring", ring, "--rpc-auth-file", rpc}, args...)...)
	}
	a := start("a")
	b, c := start("b", "--retry-join", a.gossip), start("c", "--retry-join", a.gossip)
	for _, x := range []*agent{a, b, c} {
		x.seesHealthy(2)
	}
	r = a.serf("members")
	require.NotEqual(t, 0, r.code, "RPC asks for its key")
	require.Equal(t, 0, a.serf("members", "-rpc-auth="+rpcKey).code)

	next := strings.TrimSpace(run(t, nil, ucpBinary, "keygen").stdout)
	old := strings.Split(string(keys), "\"")[1]
	for i, step := range [][]string{{"-install=" + next}, {"-use=" + next}, {"-remove=" + old}} {
		for j, x := range []*agent{a, b, c} {
			r := x.ucp("run", "--detach", "--id", fmt.Sprintf("j%d%d", i, j), guestModule, "--", "sleep", "500ms")
			require.Equal(t, 0, r.code, r.stderr)
		}
		eventually(t, time.Minute, fmt.Sprintf("all brokers take step %d", i), func() bool { // one that is asked may be late with its answer
			return a.serf("keys", append([]string{"-rpc-auth=" + rpcKey}, step...)...).code == 0
		})
	}
	for i := range 3 {
		for j := range 3 {
			r := b.ucp("job", "wait", fmt.Sprintf("j%d%d", i, j))
			require.Equal(t, 0, r.code, r.stderr)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		text, err := os.ReadFile(filepath.Join(dir, "keyring-"+name))
		require.NoError(t, err)
		require.Contains(t, string(text), next)
		require.NotContains(t, string(text), old)
	}

	c.signal(syscall.SIGKILL, 20*time.Second)
	start("c", "--retry-join", a.gossip).seesHealthy(2)
	for name, ring := range map[string]string{"none": "", "old": first} {
		args := []string{"--retry-join", a.gossip}
		if ring != "" {
			args = append(args, "--keyring", ring)
		}
		x := startAgent(t, name, filepath.Join(dir, name), args...)
		eventually(t, time.Minute, "a stranger is not heard", func() bool {
			return strings.Contains(a.Said(), "it is not encrypted with a key of this broker")
		})
		members, err := x.client.Members(t.Context())
		require.NoError(t, err)
		require.Len(t, members.Members, 1)
	}
	for _, x := range []*agent{a, b} {
		x.seesHealthy(2)
	}
}
