package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/collector"
	"github.com/urban-compute/ucp/tracing"
)

// A client's trace goes on over three brokers, and when the broker is killed that runs the job and another one runs it: who has taken
// the job and placed it, who has loaded and run it, who has accepted its end, each under the right one, though nobody has told them of
// each other's spans. The job is told in which span it runs.
func TestTraceOverBrokers(t *testing.T) {
	t.Parallel()
	const client, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	told := collector.New(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	brokers := startCluster(t, 3, "--allow-process", "--redeploy-delay", "500ms", "--otlp-endpoint", told.URL, "--job-path", dir+":rw")
	a := brokers[0]
	script := fmt.Sprintf("echo $TRACEPARENT; if [ ! -e %s/x ]; then touch %s/x; sleep 60; fi", dir, dir)
	spec := fmt.Sprintf(`{"driver": "process", "command": "/bin/sh", "args": ["-c", %q], "constraints": ["name!=a"]}`, script)
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+a.http+"/v1/jobs", strings.NewReader(spec))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-"+client+"-"+span+"-01")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	require.Contains(t, resp.Header.Get("traceresponse"), client)
	var taken api.Submission
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&taken))
	id := string(taken.ID)

	var first string
	eventually(t, 30*time.Second, "the job runs", func() bool {
		_, err := os.Stat(dir + "/x")
		j, _ := a.client.Job(t.Context(), id, 0)
		first = j.Executor
		return err == nil && first != ""
	})
	eventually(t, 30*time.Second, "its first attempt has told that it was loaded", func() bool { return len(named(t, told, "load")) == 1 })
	for _, b := range brokers {
		if b.name == first {
			b.signal(syscall.SIGKILL, 5*time.Second)
		}
	}
	j, err := a.client.Job(t.Context(), id, time.Minute)
	require.NoError(t, err)
	require.Equal(t, "succeeded", string(j.State), j)
	require.NotEqual(t, first, j.Executor)
	eventually(t, 10*time.Second, "the end is told", func() bool { return len(named(t, told, "job")) == 1 && len(named(t, told, "run")) == 1 })

	whole := named(t, told, "job")[0]
	require.Equal(t, []string{client, span, "a"}, []string{whole.Trace, whole.Parent, whole.Broker})
	spans, _ := told.Spans()
	for _, s := range spans {
		require.Equal(t, client, s.Trace, s.Name)
		require.LessOrEqual(t, s.StartTimeUnixNano, s.EndTimeUnixNano, s.Name)
	}
	submit, places, loads, run, accept := named(t, told, "submit"), named(t, told, "place"), named(t, told, "load"), named(t, told, "run")[0], named(t, told, "accept")
	require.Equal(t, []string{whole.ID, "a"}, []string{submit[0].Parent, submit[0].Broker})
	require.Len(t, places, 2, "it was placed twice")
	require.Len(t, loads, 2)
	for i, at := range []string{first, j.Executor} {
		require.Equal(t, []string{whole.ID, "a", at}, []string{places[i].Parent, places[i].Broker, places[i].Attr("ucp.placed.at")})
		require.Equal(t, []string{places[i].ID, at}, []string{loads[i].Parent, loads[i].Broker})
	}
	require.Equal(t, []string{places[1].ID, j.Executor}, []string{run.Parent, run.Broker})
	require.Equal(t, []string{run.ID, "a"}, []string{accept[0].Parent, accept[0].Broker})

	out := a.ucp("job", "logs", id)
	require.Equal(t, "00-"+client+"-"+run.ID+"-01\n", out.stdout, out.stderr)
	require.True(t, tracing.Parse(strings.TrimSpace(out.stdout)).IsValid())
}

// named are the spans of a name, as they began.
func named(t *testing.T, c *collector.Collector, name string) (out []collector.Span) {
	spans, wrong := c.Spans()
	require.Empty(t, wrong)
	for _, s := range spans {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out
}
