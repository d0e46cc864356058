package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// A moment after a broker was killed, long before anybody has noticed, all that another one shows says that it does not hear
// from it: what ran there may not run, and data may have a later version.
func TestReadsSayWhoDoesNotAnswer(t *testing.T) {
	brokers := startCluster(t, 3)
	a, c := brokers[0], brokers[2]
	a.seesHealthy(2)
	r := a.ucp("run", "--detach", "--id", "there", "--constraint", "name="+c.name, guestModule, "--", "sleep", "10m")
	require.Zero(t, r.code, r.stderr)
	file := filepath.Join(t.TempDir(), "level.txt")
	require.NoError(t, os.WriteFile(file, []byte("7\n"), 0o600))
	require.Zero(t, a.ucp("data", "put", "level", file).code)
	require.Zero(t, a.ucp("emergency", "declare", "--id", "flood-1", "--type", "flood", "--level", "low").code)
	eventually(t, 30*time.Second, "it runs at c", func() bool {
		j, err := a.client.Job(t.Context(), "there", 0)
		return err == nil && j.State == "running"
	})
	require.NotContains(t, a.ucp("job", "list").stderr, "WARNING")

	c.signal(syscall.SIGKILL, 30*time.Second)
	warning := "ucp: WARNING: not all of it: " + a.name + " hears 2 of 3 brokers. What has happened since at " + c.name + " ("
	shown := map[string]string{}
	for _, args := range [][]string{
		{"members"}, {"job", "list"}, {"job", "get", "there"}, {"data", "list"}, {"data", "get", "level"}, {"emergency", "list"}, {"emergency", "get", "flood-1"}, {"strategy", "get"},
	} {
		r := a.ucp(args...)
		require.Zero(t, r.code, "%v: %s", args, r.stderr)
		require.Contains(t, r.stderr, warning, "%v", args)
		shown[args[0]+" "+args[len(args)-1]] = r.stdout
	}
	require.Equal(t, "7\n", shown["data level"])
	require.Contains(t, shown["job list"], "running?")
	require.Regexp(t, `(?m)^`+c.name+` +(alive|failed), (does not answer|silent for)`, shown["members members"])
	var l struct {
		Jobs    []api.Job
		Unheard []api.Unheard
	}
	require.NoError(t, json.Unmarshal([]byte(a.ucp("job", "list", "-o", "json").stdout), &l))
	require.True(t, l.Jobs[0].Silent)
	require.Equal(t, c.name, l.Unheard[0].Broker)
}
