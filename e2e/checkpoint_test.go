package e2e

import (
	"context"
	"io"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

var (
	goesOnAt = regexp.MustCompile(`(?m)^start \d+: going on at (\d+)$`)
	countsTo = regexp.MustCompile(`(?m)^\d+ primes below (\d+)$`)
)

// last is the last number that a pattern finds, 0 if there is none.
func last(of *regexp.Regexp, text string) int {
	all := of.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1][1])
	return n
}

// live is what the attempt of the job that runs now has written so far.
func (a *agent) live(id string) string {
	ctx, stop := context.WithTimeout(a.t.Context(), 300*time.Millisecond)
	defer stop()
	r, err := a.client.Follow(ctx, id, api.FollowOptions{})
	if err != nil {
		return ""
	}
	defer r.Close()
	b, _ := io.ReadAll(r)
	return string(b)
}

// A job whose broker is killed three times goes on each time from the checkpoint that clients were told of, or a newer one, and
// ends. What is computed twice for a kill is at most what runs between two checkpoints and while the latter travels, by what the job itself counts (rule J17).
func TestLongJobSurvivesItsBrokers(t *testing.T) {
	t.Parallel()                    // it waits most of the time
	const blocks, block = 400, 1000 // of 100 ms and more each, and a checkpoint each 2 s
	const interval = 21             // blocks
	args := []string{"--redeploy-delay", "1s"}
	brokers := map[string]*agent{}
	for _, a := range startCluster(t, 3, args...) {
		brokers[a.name] = a
	}
	r := brokers["a"].ucp("run", primesModule, "--detach", "--id", "long", "--dir", "state", "--checkpoint", "state/", "--",
		"-below", strconv.Itoa(blocks*block), "-block", strconv.Itoa(block), "-pause", "100ms", "-every", "2s")
	require.Zero(t, r.code, r.stderr)

	told := int64(0) // for how long the job had run by the newest checkpoint that a client was told of
	for range 3 {
		var at *agent
		eventually(t, time.Minute, "a newer checkpoint of the attempt that runs", func() bool {
			for _, a := range brokers {
				j, err := a.client.Job(t.Context(), "long", 0)
				if c := j.Checkpoint; err == nil && c != nil && !c.Earlier && c.Ran > told && len(c.Holders) > 1 && j.State == job.StateRunning {
					at, told = brokers[j.Executor], c.Ran
					return true
				}
			}
			return false
		})
		done := last(countsTo, at.live("long"))
		at.signal(syscall.SIGKILL, 10*time.Second)
		delete(brokers, at.name)
		var other *agent
		for _, other = range brokers {
			break
		}
		var j api.Job
		eventually(t, time.Minute, "it runs elsewhere", func() bool {
			var err error
			j, err = other.client.Job(t.Context(), "long", 0)
			return err == nil && j.Executor != at.name && j.State == job.StateRunning
		})
		require.GreaterOrEqual(t, j.Checkpoint.Ran, told, "never older than what a client was told of")
		require.Regexp(t, `Checkpoint: +after \S+ of running, .* at .*`, other.ucp("job", "get", "long").stdout)
		at2 := brokers[j.Executor]
		from := 0
		eventually(t, 30*time.Second, "it says where it goes on", func() bool {
			from = last(goesOnAt, at2.live("long"))
			return from > 0
		})
		t.Logf("killed %s at block %d; goes on at %s at block %d", at.name, done/block, j.Executor, from/block)
		require.LessOrEqual(t, done-from, interval*block, "blocks that are computed twice")
		back := startAgent(t, at.name, at.dir, append([]string{"--join", other.gossip}, args...)...)
		brokers[back.name] = back
		back.seesHealthy(2)
	}
	var any *agent
	for _, any = range brokers {
		break
	}
	out := any.ucp("job", "wait", "long")
	require.Zero(t, out.code, out.stdout+out.stderr)
	stdout := any.ucp("job", "logs", "long").stdout
	require.Contains(t, stdout, "done: 33860 primes below 400000, after ")
	lines := countsTo.FindAllStringSubmatch(stdout, -1)
	require.Len(t, lines, blocks, "each block stands in the output once")
	for i, l := range lines {
		require.Equal(t, strconv.Itoa((i+1)*block), l[1])
	}
}
