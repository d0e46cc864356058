package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scripts/cluster.sh runs a local cluster, and leaves nothing behind.
func TestClusterScript(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	script := func(args ...string) string {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "../scripts/cluster.sh", args...)
		cmd.Env = append(os.Environ(), "UCP_CLUSTER_DIR="+dir, "UCP_BIN="+ucpBinary)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "cluster.sh %v:\n%s", args, out)
		return string(out)
	}
	t.Cleanup(func() { script("down") })
	script("up", "3")
	require.Equal(t, 3, strings.Count(script("status"), "alive"))
	script("ucp", "2", "run", "--id", "kept", guestModule, "--", "sleep", "1ms")
	before := script("addr", "2")
	script("kill", "2")
	script("start", "2")
	require.Equal(t, before, script("addr", "2"), "a broker that is started again keeps its ports")
	require.Contains(t, script("ucp", "2", "job", "get", "kept"), "succeeded")
	require.Contains(t, script("logs", "2"), "broker is up")
	script("stop", "3")
	script("down")
	require.NoDirExists(t, dir)
}
