package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// ticks is a native job that writes the time in milliseconds 150 times, 20 ms apart.
const ticks = `i=0; while [ $i -lt 150 ]; do date +%s%3N; sleep 0.02; i=$((i+1)); done`

// One broker with one core runs a low job; a critical one arrives under emergency. The low
// one stands still or is stopped at once, the critical one runs, and the low one goes on
// where it was, or runs again: its output is right either way.
func TestCriticalJobOvertakes(t *testing.T) {
	a := startCluster(t, 1, "--cpu", "1.0", "--allow-process", "--strategy", "emergency")[0]
	for _, mode := range []string{"suspend", "requeue"} {
		t.Run(mode, func(t *testing.T) {
			low, crit := "low-"+mode, "crit-"+mode
			submit := func(id, script string, args ...string) time.Time {
				at := time.Now()
				r := a.ucp(append(append([]string{"run", "--detach", "--id", id, "--driver", "process", "--cpu", "900m"}, args...), "/bin/sh", "--", "-c", script)...)
				require.Equal(t, 0, r.code, r.stderr)
				return at
			}
			submit(low, ticks, "--preempt", mode)
			a.firstLine(low) // it is in the middle of it
			r := a.ucp("run", "--dry-run", "--driver", "process", "--cpu", "900m", "--emergency", "critical", "/bin/true")
			require.Equal(t, 0, r.code, r.stderr)
			require.Contains(t, r.stdout, "make room: "+low+" ("+mode+")")
			r = a.ucp("run", "--dry-run", "--driver", "process", "--cpu", "900m", "--constraint", "gpu", "/bin/true")
			require.Contains(t, r.stdout, "never run it: lacks constraint gpu")
			require.Equal(t, job.StateRunning, a.state(low), "a dry run changes nothing")
			asked := submit(crit, "date +%s%3N; sleep 1; date +%s%3N", "--emergency", "critical")

			require.Equal(t, 0, a.ucp("job", "wait", crit).code)
			require.Equal(t, 0, a.ucp("job", "wait", low).code)
			began, ended := a.times(t, crit)[0], a.times(t, crit)[1]
			lines := a.times(t, low)
			require.Len(t, lines, 150, "all that it had to write, once")
			for _, at := range lines {
				require.False(t, at > began+50 && at < ended-50, "the low job ran at %d, while the critical one did from %d to %d", at, began, ended)
			}
			if mode == "suspend" {
				require.Less(t, lines[0], began, "it went on where it was")
			} else {
				require.Greater(t, lines[0], ended, "it ran again from the start")
			}
			t.Logf("%s: the critical job wrote its first line %d ms after the command line was started", mode, began-asked.UnixMilli())
			j, err := a.client.Job(t.Context(), low, 0)
			require.NoError(t, err)
			require.EqualValues(t, 1, j.Attempt)
		})
	}
	t.Run("kept", func(t *testing.T) { whatAStoppedJobLeft(t, a) })
}

// What a job had written that was stopped to make room can be had until it has ended (rule J13).
func whatAStoppedJobLeft(t *testing.T, a *agent) {
	run := func(id, script string, args ...string) {
		r := a.ucp(append(append([]string{"run", "--detach", "--id", id, "--driver", "process", "--cpu", "900m"}, args...), "/bin/sh", "--", "-c", script)...)
		require.Equal(t, 0, r.code, r.stderr)
	}
	run("half", "mkdir -p out/empty; echo f > out/f; echo begun; sleep 3600", "--preempt", "requeue", "--output", "out/")
	require.Equal(t, "begun\n", a.firstLine("half"))
	run("urgent", "sleep 3600", "--emergency", "critical")
	eventually(t, time.Minute, "it makes room", func() bool { return a.state("urgent") == job.StateRunning && a.state("half") == job.StateQueued })

	dir := t.TempDir()
	r := a.ucp("job", "result", "half", "--to", dir)
	require.Equal(t, result{"out\nstdout\n", "ucp: job half is queued: this is what it had written at " + a.name + " when it was stopped there, to run again\n", 0}, r)
	b, err := os.ReadFile(filepath.Join(dir, "out", "f"))
	require.NoError(t, err)
	require.Equal(t, "f\n", string(b))
	require.DirExists(t, filepath.Join(dir, "out", "empty"))
	resp, err := http.Get("http://" + a.http + "/v1/jobs/half/stdout")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusConflict, resp.StatusCode, "it is no result")
	require.Contains(t, a.ucp("job", "get", "half").stdout, "; kept: stdout, out/")

	require.Equal(t, 0, a.ucp("job", "cancel", "half").code)
	r = a.ucp("job", "result", "half", "--to", filepath.Join(dir, "cancelled"))
	require.Equal(t, result{"out\nstdout\n", "", 0}, r)
	require.Equal(t, 0, a.ucp("job", "cancel", "urgent").code)
}

// firstLine waits until a job has written a line to its stdout, and returns that.
func (a *agent) firstLine(id string) string {
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	out, err := a.client.Follow(ctx, id, api.FollowOptions{})
	require.NoError(a.t, err)
	defer out.Close()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(a.t, err)
	return line
}

func (a *agent) state(id string) job.State {
	j, err := a.client.Job(a.t.Context(), id, 0)
	require.NoError(a.t, err)
	return j.State
}

// times reads a job's output as numbers.
func (a *agent) times(t *testing.T, id string) (out []int64) {
	r := a.ucp("job", "logs", id)
	require.Equal(t, 0, r.code, r.stderr)
	for _, line := range strings.Fields(r.stdout) {
		n, err := strconv.ParseInt(line, 10, 64)
		require.NoError(t, err)
		out = append(out, n)
	}
	return out
}

// A decision is listed, explained, exported, and decided again; the strategy changes for the
// whole cluster while a job runs, which is not touched.
func TestConflictsAreExplained(t *testing.T) {
	brokers := startCluster(t, 2, "--cpu", "1.0", "--allow-process")
	a, b := brokers[0], brokers[1]
	r := a.ucp("strategy", "set", "priority", "--cluster")
	require.Equal(t, result{"priority\n", "", 0}, r)
	eventually(t, 10*time.Second, "the other broker adopts it", func() bool { return b.ucp("strategy", "get").stdout == "priority\n" })
	require.Equal(t, 1, a.ucp("strategy", "set", "luck").code)

	for id, priority := range map[string]string{"x": "5", "y": "9", "z": "1", "w": "5", "v": "7"} {
		r := a.ucp("run", "--detach", "--id", id, "--priority", priority, "--driver", "process", "--cpu", "900m", "--preempt", "never", "/bin/sleep", "--", "1")
		require.Equal(t, 0, r.code, r.stderr)
	}
	r = a.ucp("strategy", "set", "fcfs")
	require.Equal(t, 0, r.code, r.stderr)
	for _, id := range []string{"v", "w", "x", "y", "z"} {
		require.Equal(t, 0, a.ucp("job", "wait", id).code, "no job is lost by a change of strategy")
		j, err := a.client.Job(t.Context(), id, 0)
		require.NoError(t, err)
		require.EqualValues(t, 1, j.Attempt, "nor started again")
	}
	l, err := a.client.Conflicts(t.Context(), 10)
	require.NoError(t, err)
	require.NotEmpty(t, l.Conflicts)
	id := l.Conflicts[len(l.Conflicts)-1].ID
	require.Len(t, l.Conflicts[len(l.Conflicts)-1].IDs, l.Conflicts[len(l.Conflicts)-1].Jobs)
	r = a.ucp("conflict", "explain", id)
	require.Equal(t, 0, r.code, r.stderr)
	for _, s := range resolve.All() {
		if string(s) != l.Conflicts[len(l.Conflicts)-1].Strategy {
			require.Contains(t, r.stdout, "under "+string(s)+":")
		}
	}
	r = a.ucp("conflict", "export", id)
	require.Equal(t, 0, r.code, r.stderr)
	file := filepath.Join(t.TempDir(), "bundle.json")
	require.NoError(t, os.WriteFile(file, []byte(r.stdout), 0o600))
	require.Equal(t, r.stdout, a.ucp("conflict", "replay", file).stdout, "byte for byte")
	var bundle resolve.Bundle
	require.NoError(t, json.Unmarshal([]byte(a.ucp("conflict", "replay", file, "--strategy", "fcfs").stdout), &bundle))
	require.Equal(t, resolve.FCFS, bundle.Strategy)
	require.Equal(t, 1, a.ucp("conflict", "explain", "c1-1").code)

	var s api.ConflictStatistics
	require.NoError(t, json.Unmarshal(a.get(t, "/broker/conflict-statistics"), &s))
	require.Equal(t, "fcfs", s.CurrentStrategy)
	require.Equal(t, l.Total, s.TotalConflictsResolved)
	require.NotEmpty(t, s.RecentConflicts)
}

// get reads a path of the broker's HTTP interface.
func (a *agent) get(t *testing.T, path string) []byte {
	resp, err := http.Get("http://" + a.http + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(b))
	return b
}
