package sim

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
)

// diary is what the brokers of a cluster log.
type diary struct {
	mu  sync.Mutex
	log bytes.Buffer
}

// Write implements io.Writer.
func (d *diary) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(b)
}

// since returns what was logged after the first n bytes, in lines without their times, and how many bytes there are now.
func (d *diary) since(n int) (lines []string, all int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.TrimSpace(string(d.log.Bytes()[n:]))
	if text == "" {
		return nil, d.log.Len()
	}
	for _, line := range strings.Split(text, "\n") {
		_, line, _ = strings.Cut(line, " ")
		lines = append(lines, line)
	}
	return lines, d.log.Len()
}

// Ten minutes of three brokers with jobs, of which one is killed, cut off and restarted, an emergency, a drain, a broker that
// leaves: each change is at most one line in the log of each broker, and while nothing changes there is none.
func TestLogOfTenMinutes(t *testing.T) {
	t.Parallel()
	var told diary
	configure := func(cfg *node.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&told, nil)).With("broker", cfg.Name)
	}
	inCluster(t, 3, configure, func(t *testing.T, c *Cluster) {
		seen, jobs := 0, 0
		submit := func(at string, n int) {
			for range n {
				jobs++
				_, err := c.Submit(at, job.ID(fmt.Sprintf("j-%d", jobs)), time.Duration(5+jobs%20)*time.Second)
				require.NoError(t, err)
			}
		}
		// phase lets time pass after a change, of which each broker may log so many lines. It returns what they have logged.
		phase := func(what string, takes time.Duration, most int) string {
			t.Helper()
			time.Sleep(takes)
			lines, all := told.since(seen)
			seen = all
			by := map[string]int{}
			for _, line := range lines {
				_, rest, _ := strings.Cut(line, "broker=")
				name, _, _ := strings.Cut(rest, " ")
				by[name]++
			}
			text := what + ":\n" + strings.Join(lines, "\n")
			for _, name := range c.Names() {
				require.LessOrEqual(t, by[name], most, "%s", text)
			}
			require.Equal(t, most == 0, len(lines) == 0, "%s", text)
			return text
		}
		phase("three brokers, already joined", 20*time.Second, 5)
		submit("b0", 12)
		phase("twelve jobs", 40*time.Second, 0)
		c.Kill("b1")
		phase("b1 is killed", time.Minute, 1)
		c.Restart("b1")
		phase("b1 is back", 40*time.Second, 5) // b1: up, anybody may command it, two members, joined
		submit("b2", 6)
		_, _, err := c.Client("b0").Declare(t.Context(), emergency.Declaration{ID: "flood-1", Type: "flood", Level: "critical"})
		require.NoError(t, err)
		phase("a flood", 40*time.Second, 2) // it, and the strategy that it brings
		c.Net.Cut(c.Host("b0"), c.Host("b2"))
		c.Net.Cut(c.Host("b1"), c.Host("b2"))
		phase("b2 is cut off", time.Minute, 2) // of b2: both others are silent
		c.Net.HealAll()
		phase("b2 hears again", 40*time.Second, 2)
		_, err = c.Client("b1").ClearEmergency(t.Context(), "flood-1", false)
		require.NoError(t, err)
		phase("the flood is over", 20*time.Second, 2)
		_, err = c.Client("b0").Drain(t.Context(), "b1", 10*time.Second)
		require.NoError(t, err)
		submit("b0", 6)
		require.Equal(t, 3, strings.Count(phase("b1 is drained", 40*time.Second, 1), "what=drained"), "at each broker")
		_, err = c.Client("b0").Resume(t.Context(), "b1")
		require.NoError(t, err)
		phase("b1 is resumed", 20*time.Second, 1)
		submit("b2", 1)
		_, err = c.Client("b2").Cancel(t.Context(), fmt.Sprintf("j-%d", jobs))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(phase("a job is cancelled", 20*time.Second, 1), `msg="job cancelled"`))
		c.Stop("b2")
		phase("b2 has left", 40*time.Second, 1)
		c.Start("b2")
		phase("b2 is back", 40*time.Second, 6) // b2: up, anybody may command it, two members, joined, that it had left
		_, err = c.Client("b2").SetStrategy(t.Context(), "fcfs", true)
		require.NoError(t, err)
		phase("another strategy", 20*time.Second, 1)
		phase("nothing", 3*time.Minute, 0)
	})
}

// Each job that is placed elsewhere, since its broker is gone, is one line in the log of the broker that has placed it.
func TestLogTellsOfMovedJobs(t *testing.T) {
	t.Parallel()
	var told diary
	configure := func(cfg *node.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&told, nil)).With("broker", cfg.Name)
	}
	inCluster(t, 3, configure, func(t *testing.T, c *Cluster) {
		for i := range 12 {
			_, err := c.Submit("b0", job.ID(fmt.Sprintf("j-%d", i)), time.Hour)
			require.NoError(t, err)
		}
		time.Sleep(10 * time.Second)
		l, err := c.Client("b0").Jobs(t.Context(), api.ListOptions{Broker: "b1"})
		require.NoError(t, err)
		require.NotEmpty(t, l.Jobs)
		_, seen := told.since(0)
		c.Kill("b1")
		time.Sleep(2 * time.Minute)
		lines, _ := told.since(seen)
		text := strings.Join(lines, "\n")
		for _, j := range l.Jobs {
			require.Len(t, regexp.MustCompile(fmt.Sprintf(`(?m)msg="job moved" .*job=%s from=b1 to=b[02]$`, j.ID)).FindAllString(text, -1), 1, text)
		}
		require.Equal(t, len(l.Jobs), strings.Count(text, "job moved"), text)
	})
}
