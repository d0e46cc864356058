package e2e

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// drainOf is how a broker is drained, as another one says; nil when it is not.
func (a *agent) drainOf(name string) *api.Drain {
	a.t.Helper()
	l, err := a.client.Members(a.t.Context())
	require.NoError(a.t, err)
	for _, m := range l.Members {
		if m.Name == name {
			return m.Drained
		}
	}
	return nil
}

// A broker that is drained from another one runs nothing new, also after its restart, until it is resumed; what runs there is
// moved at the deadline.
func TestDrain(t *testing.T) {
	brokers := startCluster(t, 2)
	a, b := brokers[0], brokers[1]
	a.seesHealthy(1)
	at := func(id string) string {
		j, err := a.client.Job(t.Context(), id, 0)
		require.NoError(t, err)
		return string(j.State) + " at " + j.Executor
	}
	r := a.ucp("run", "--detach", "--id", "long", "--constraint", "name="+b.name, guestModule, "--", "sleep", "10m")
	require.Zero(t, r.code, r.stderr)
	eventually(t, 30*time.Second, "it runs at b", func() bool { return at("long") == "running at "+b.name })
	r = a.ucp("run", "--detach", "--id", "free", guestModule, "--", "sleep", "3s")
	require.Zero(t, r.code, r.stderr)

	r = a.ucp("cluster", "drain", b.name)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, b.name+" runs no new jobs until `ucp cluster resume "+b.name+"`")
	eventually(t, 30*time.Second, "b says that it is drained", func() bool {
		return strings.Contains(b.ucp("status", "--full").stdout, "drained, runs no new jobs") && strings.Contains(a.ucp("members").stdout, "drained")
	})
	for range 4 {
		r := b.ucp("run", guestModule, "--", "sleep", "1ms")
		require.Zero(t, r.code, "b takes a job that a runs: %s", r.stderr)
	}
	l, err := a.client.Jobs(t.Context(), api.ListOptions{Broker: b.name})
	require.NoError(t, err)
	for _, j := range l.Jobs {
		require.Contains(t, []job.ID{"long", "free"}, j.ID, "nothing new runs at b")
	}
	require.Equal(t, "running at "+b.name, at("long"), "what runs there goes on")

	require.Equal(t, "ucp: no broker \"x\" takes part\n", a.ucp("cluster", "drain", "x").stderr)
	r = a.ucp("cluster", "drain", b.name, "--deadline", "1s", "-o", "json")
	require.Zero(t, r.code, r.stderr)
	var d api.DrainedMember
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &d))
	require.True(t, d.Drained && d.Before && d.Deadline != 0, r.stdout)
	require.NotNil(t, a.drainOf(b.name))

	// Nobody else can take it, by its constraint; one that may run anywhere is moved.
	r = a.ucp("cluster", "resume", b.name)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stdout, b.name+" runs jobs again")
	eventually(t, 30*time.Second, "b is resumed", func() bool { return b.drainOf(b.name) == nil })
	require.Contains(t, a.ucp("cluster", "resume", b.name).stdout, "was not drained")
	require.Zero(t, a.ucp("cluster", "drain", a.name).code)
	r = a.ucp("run", "--detach", "--id", "moves", guestModule, "--", "sleep", "10m")
	require.Zero(t, r.code, r.stderr)
	eventually(t, 30*time.Second, "a runs nothing new, so it runs at b", func() bool { return at("moves") == "running at "+b.name })
	require.Zero(t, a.ucp("cluster", "resume", a.name).code)
	require.Zero(t, a.ucp("cluster", "drain", b.name, "--deadline", "2s").code)
	eventually(t, 60*time.Second, "it is moved at the deadline", func() bool { return at("moves") == "running at "+a.name })
	require.Equal(t, "running at "+b.name, at("long"), "nobody else can take it: it goes on")

	// The word holds over a restart.
	require.True(t, b.signal(syscall.SIGKILL, 30*time.Second).ExitCode() != 0)
	again := startAgent(t, b.name, b.dir, "--join", a.gossip)
	eventually(t, 30*time.Second, "b is drained after its restart", func() bool { return again.drainOf(b.name) != nil })
	again.seesHealthy(1)
	require.Zero(t, a.ucp("job", "cancel", "moves", "long").code)
}
