package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/sim/simnet"
)

// slowNews: nothing travels by itself before the first exchange, in an hour.
func slowNews(cfg *node.Config) { cfg.NoNewsLinks, cfg.Replicas, cfg.SyncInterval = true, 1, time.Hour }

// get asks a broker for a job as any HTTP client would.
func get(t *testing.T, c *Cluster, name, path string, header http.Header, into any) (*http.Response, error) {
	h := c.Host(name)
	client := &http.Client{Transport: &http.Transport{DialContext: h.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.HTTPAddr()+path, nil)
	require.NoError(t, err)
	req.Header = header
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	if into == nil {
		return resp, nil
	}
	return resp, json.NewDecoder(resp.Body).Decode(into)
}

// Read-your-writes at any broker (rule C3): with the token of a submission another
// broker answers for the job at once, although no news link has told it; without the
// token it does not know the job yet.
func TestClusterReadYourWrites(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, slowNews, func(t *testing.T, c *Cluster) {
		s, err := c.Submit("b0", "mine", time.Hour)
		require.NoError(t, err)
		require.NotEmpty(t, s.CausalToken)
		require.False(t, c.Knows("b1", "mine"), "else this test shows nothing")

		start := time.Now()
		j, err := c.Client("b1").JobAfter(t.Context(), "mine", 0, s.CausalToken)
		require.NoError(t, err)
		require.Equal(t, job.ID("mine"), j.ID)
		require.Less(t, time.Since(start), 5*time.Second, "it asked who wrote it, and did not wait for the exchange")
		require.NotEmpty(t, j.CausalToken)

		// The token works as a header and as a parameter, for one job and for the list.
		resp, err := get(t, c, "b2", "/v1/jobs?causal_token="+url.QueryEscape(s.CausalToken), nil, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.True(t, c.Knows("b2", "mine"))
		resp, err = get(t, c, "b2", "/v1/jobs/mine", http.Header{api.TokenHeader: {j.CausalToken}}, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NotEmpty(t, resp.Header.Get(api.TokenHeader), "a read gives a token too")

		// What a client has read it has seen: the cancellation that b2 answered with is
		// known at b1, when the client comes with b2's token.
		cancelled, err := c.Client("b2").Cancel(t.Context(), "mine")
		require.NoError(t, err)
		require.Equal(t, job.StateCancelled, cancelled.State)
		at2, err := c.Client("b2").Job(t.Context(), "mine", 0)
		require.NoError(t, err)
		j, err = c.Client("b1").JobAfter(t.Context(), "mine", 0, at2.CausalToken)
		require.NoError(t, err)
		require.Equal(t, job.StateCancelled, j.State)
	})
}

// With the link cut, a read with a token ends after the request's timeout with 504 that
// names what is missing and when its writer was last heard; after the link has healed the same
// request is answered.
func TestClusterBehind(t *testing.T) {
	t.Parallel()
	inCluster(t, 2, slowNews, func(t *testing.T, c *Cluster) {
		time.Sleep(time.Minute)
		c.Net.Cut(c.Host("b0"), c.Host("b1"))
		s, err := c.Submit("b0", "mine", time.Hour)
		require.NoError(t, err)
		for _, path := range []string{"/v1/jobs/mine", "/v1/jobs"} {
			start := time.Now()
			var e api.Error
			resp, err := get(t, c, "b1", path+"?timeout=2s", http.Header{api.TokenHeader: {s.CausalToken}}, &e)
			require.NoError(t, err)
			require.Equal(t, http.StatusGatewayTimeout, resp.StatusCode, e.Message)
			require.Equal(t, api.CodeBehind, e.Code)
			require.InDelta(t, 2, time.Since(start).Seconds(), 0.5)
			require.Contains(t, e.Message, "after 2s")
			require.Contains(t, e.Message, "job mine")
			require.Regexp(t, `update \d+ of b0~[0-9a-f]{16} \(job mine\), which was (last heard \S+ ago|never heard since this broker's start)`, e.Message)
		}
		c.Net.HealAll()
		j, err := c.Client("b1").JobAfter(t.Context(), "mine", 0, s.CausalToken)
		require.NoError(t, err)
		require.Equal(t, job.ID("mine"), j.ID)
	})
}

// A submission with a token comes after what that client had seen: it says so in the
// record (rules C1, C3), at whatever broker it is made.
func TestClusterTokenOrdersSubmissions(t *testing.T) {
	t.Parallel()
	inCluster(t, 2, nil, func(t *testing.T, c *Cluster) {
		first, err := c.Submit("b0", "first", time.Hour)
		require.NoError(t, err)
		spec := with("", "1s")
		second, err := c.Client("b1").Submit(t.Context(), spec, api.SubmitOptions{ID: "second", Token: first.CausalToken})
		require.NoError(t, err)
		require.NotEqual(t, first.CausalToken, second.CausalToken)
		require.Greater(t, len(second.CausalToken), len(first.CausalToken), "it names both")
		_, err = c.Client("b1").Submit(t.Context(), spec, api.SubmitOptions{ID: "third", Token: "rubbish"})
		requireCode(t, err, http.StatusBadRequest, api.CodeBadRequest, "not a causal token")
		require.False(t, c.Knows("b1", "third"))
	})
}

// min_replicas that is not met within the timeout is 503, which says that the job may
// still run; submitting it again under its ID is safe, and it runs once (rule A1).
func TestClusterMinReplicasUnmet(t *testing.T) {
	t.Parallel()
	inCluster(t, 2, nil, func(t *testing.T, c *Cluster) {
		spec := with("", "5s")
		spec.MinReplicas = 2
		c.Net.Cut(c.Host("b0"), c.Host("b1"))
		start := time.Now()
		_, err := c.Client("b0").Submit(t.Context(), spec, api.SubmitOptions{ID: "j", Timeout: 5 * time.Second})
		took := time.Since(start)
		e := requireCode(t, err, http.StatusServiceUnavailable, api.CodeTooFew,
			"job j is saved on 1 brokers after 5s", "min_replicas asks for 2", "may still run", "PUT /v1/jobs/j", "safe")
		require.Equal(t, job.ID("j"), e.ID)
		require.InDelta(t, 5, took.Seconds(), 1)
		require.True(t, c.Knows("b0", "j"), "it is there")

		c.Net.HealAll()
		s, err := c.Client("b0").Submit(t.Context(), spec, api.SubmitOptions{ID: "j", Timeout: 30 * time.Second})
		require.NoError(t, err)
		require.Equal(t, 2, s.Replicas)
		j, err := c.Client("b0").Job(t.Context(), "j", time.Minute)
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)
		require.Equal(t, 1, c.Started("b0", "j")+c.Started("b1", "j"))

		other := spec
		other.Command = "6s"
		_, err = c.Client("b0").Submit(t.Context(), other, api.SubmitOptions{ID: "j"})
		requireCode(t, err, http.StatusConflict, api.CodeConflict, "another spec")

		// Without a demand the same cut is a success that says what it is worth.
		c.Net.Cut(c.Host("b0"), c.Host("b1"))
		s, err = c.Submit("b0", "modest", time.Second)
		require.NoError(t, err)
		require.Equal(t, 1, s.Replicas)
		require.True(t, s.Degraded)
	})
}

// final waits for a job's end.
func final(t *testing.T, c *Cluster, name, id string, within time.Duration) (j api.Job) {
	c.Eventually(within, id+" has ended", func() bool {
		var err error
		j, err = c.Client(name).Job(t.Context(), id, 20*time.Second)
		require.NoError(t, err)
		return j.State.Final()
	})
	return j
}

// lines collects what brokers log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// containing returns the first line with all these parts, or "".
func (l *lines) containing(parts ...string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.buf.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		return line
	}
	return ""
}

// A broker that leaves takes no new jobs and says so, lets what runs finish within its
// --drain-timeout, and logs what it handed to whom; the others go on with that.
func TestClusterDrain(t *testing.T) {
	t.Parallel()
	var log lines
	configure := func(cfg *node.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)).With("broker", cfg.Name)
		cfg.DrainTimeout = time.Minute
	}
	inCluster(t, 3, configure, func(t *testing.T, c *Cluster) {
		submit := func(id job.ID, takes string, constraints ...string) {
			spec := with("", takes, constraints...)
			spec.Resources = job.Resources{CPU: 1000}
			_, err := c.Client("b1").Submit(t.Context(), spec, api.SubmitOptions{ID: id})
			require.NoError(t, err)
		}
		submit("runs-here", "20s", "name=b1")
		submit("runs-there", "2m", "name=b2")
		submit("waits", "1s", "camera")
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, c.Started("b1", "runs-here"))

		start := time.Now()
		left := make(chan time.Duration, 1)
		go func() {
			defer close(left)
			c.Stop("b1")
			left <- time.Since(start)
		}()
		defer func() { <-left }() // before the cluster's Close, which would wait for the same
		time.Sleep(time.Second)
		requireCode(t, c.Client("b1").Ready(t.Context()), http.StatusServiceUnavailable, api.CodeDraining, "about to leave")
		_, err := c.Submit("b1", "late", time.Second)
		requireCode(t, err, http.StatusServiceUnavailable, api.CodeDraining, "ask another")
		j, err := c.Client("b1").Job(t.Context(), "runs-here", 0)
		require.NoError(t, err, "reads go on")
		require.Equal(t, job.StateRunning, j.State)
		require.NoError(t, c.Client("b1").Healthy(t.Context()), "it lives")

		took := <-left
		require.Greater(t, took, 15*time.Second, "it waited for its job")
		require.Less(t, took, 30*time.Second, "and for nothing else")
		for id, want := range map[job.ID]job.State{"runs-here": job.StateSucceeded, "runs-there": job.StateRunning, "waits": job.StatePending} {
			j, err := c.Client("b0").Job(t.Context(), string(id), time.Second)
			require.NoError(t, err)
			require.Equal(t, want, j.State, id)
			require.NotEqual(t, "b1", j.Owner, "%s was handed over", id)
			if want != job.StateSucceeded {
				line := log.containing("broker=b1", "job handed over", "job="+string(id))
				require.Contains(t, line, "to="+j.Owner, "%s: it is logged to whom", id)
			}
		}
		require.Equal(t, 1, c.Started("b1", "runs-here"))
		require.False(t, c.Knows("b0", "late"))
		j = final(t, c, "b0", "runs-there", 3*time.Minute)
		require.Equal(t, job.StateSucceeded, j.State)
		require.Equal(t, 1, c.Started("b2", "runs-there"), "a new owner starts nothing again")
	})
}

// What still runs at the end of --drain-timeout is stopped and runs again elsewhere.
func TestClusterDrainTimeout(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{5 * time.Second, -1} {
		var log lines
		configure := func(cfg *node.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)).With("broker", cfg.Name)
			cfg.DrainTimeout = limit
		}
		inCluster(t, 2, configure, func(t *testing.T, c *Cluster) {
			_, err := c.Client("b1").Submit(t.Context(), with("", "10m"), api.SubmitOptions{ID: "long"})
			require.NoError(t, err)
			time.Sleep(time.Second)
			where := "b0"
			if c.Started("b1", "long") == 1 {
				where = "b1"
			}
			other := map[string]string{"b0": "b1", "b1": "b0"}[where]
			start := time.Now()
			c.Stop(where)
			require.Less(t, time.Since(start), max(limit, 0)+6*time.Second)
			if limit > 0 {
				require.NotEmpty(t, log.containing("broker="+where, "jobs still run"))
			}
			j := final(t, c, other, "long", 15*time.Minute)
			require.Equal(t, job.StateSucceeded, j.State)
			require.Equal(t, other, j.Executor)
			require.Equal(t, 1, c.Started(other, "long"))
		})
	}
}

// Equal ledgers have equal digests at equal clocks; after a change that only one has
// heard of, the lists name the record (`ucp cluster verify`).
func TestClusterDigests(t *testing.T) {
	t.Parallel()
	inCluster(t, 2, slowNews, func(t *testing.T, c *Cluster) {
		digests := func() (a, b api.Digest) {
			var err error
			a, err = c.Client("b0").Digest(t.Context(), true)
			require.NoError(t, err)
			b, err = c.Client("b1").Digest(t.Context(), true)
			require.NoError(t, err)
			return a, b
		}
		kinds := func(d api.Digest) (out []string) {
			for _, r := range d.List {
				out = append(out, r.Kind)
			}
			return out
		}
		a, b := digests()
		require.Equal(t, a.Digest, b.Digest, "both hold the roll")
		require.Equal(t, []string{"member", "member"}, kinds(a), "rows of starts are left out")
		require.Equal(t, a.List, b.List)

		s, err := c.Submit("b0", "one", time.Hour)
		require.NoError(t, err)
		a, b = digests()
		require.NotEqual(t, a.Digest, b.Digest)
		require.Equal(t, 3, a.Records)
		require.Equal(t, []string{"job", "member", "member"}, kinds(a))
		require.True(t, strings.HasPrefix(a.List[0].Key, "one~"), a.List[0].Key)
		require.False(t, a.List[0].Finished)
		require.Len(t, a.List[0].Created, 1)
		require.True(t, a.Clock.Has(a.List[0].Created[0]))
		require.NotContains(t, kinds(b), "job")

		_, err = c.Client("b1").JobAfter(t.Context(), "one", 0, s.CausalToken)
		require.NoError(t, err)
		c.Eventually(2*time.Hour, "the clocks are equal", func() bool {
			a, b = digests()
			return a.Clock.Compare(b.Clock) == clock.Equal
		})
		require.Equal(t, a.Digest, b.Digest)
		require.Equal(t, a.List, b.List)

		// A finished record says so: who lacks it may have forgotten it.
		_, err = c.Client("b0").Cancel(t.Context(), "one")
		require.NoError(t, err)
		synctest.Wait() // The attempt's report is a change of its own, in the same instant.
		a, b = digests()
		require.NotEqual(t, a.Digest, b.Digest)
		require.True(t, a.List[0].Finished)
		require.False(t, b.List[0].Finished)
		require.NotEqual(t, a.List[0].Digest, b.List[0].Digest)
		require.Equal(t, a.List[0].Key, b.List[0].Key)

		plain, err := c.Client("b0").Digest(t.Context(), false)
		require.NoError(t, err)
		require.Equal(t, a.Digest, plain.Digest)
		require.Empty(t, plain.List)
	})
}

// A broker that is alone answers a token of its own, also of its last life: the dots of
// that are on its disk.
func TestClusterTokenOutlivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, 1, simnet.Options{Seed: 1})
		defer c.Close()
		c.StartAll()
		s, err := c.Submit("b0", "mine", time.Hour)
		require.NoError(t, err)
		c.Kill("b0")
		c.Restart("b0")
		c.Eventually(time.Minute, "it is back", func() bool { return c.Client("b0").Ready(context.Background()) == nil })
		_, err = c.Client("b0").JobAfter(t.Context(), "mine", 0, s.CausalToken)
		require.NoError(t, err)
	})
}
