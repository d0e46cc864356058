package httpd

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// counted is the head of a broker in a city.
type countedHeads struct{ Heads }

func (countedHeads) Forks() int      { return 0 }
func (countedHeads) Forged() uint64  { return 2 }
func (countedHeads) Refused() uint64 { return 3 }

// everything is a server of a broker of which everything is known.
func everything(t testing.TB) *Server {
	o := &broker.Overview{
		State:  wire.State{Metadata: []wire.Metadata{{Name: "a"}, {Name: "b"}}},
		Oldest: resolve.Levels{4: clock.HybridAt(asOf.Add(-90 * time.Second))},
	}
	o.Stats.Acknowledged, o.Stats.Degraded, o.Stats.Ended.Failed = 5, 2, 7
	srv := New(Config{Name: "a", Software: "v9", Now: func() time.Time { return asOf }, Logger: slog.New(slog.DiscardHandler), Heads: countedHeads{}}, nil,
		&shownHost{overview: o, names: []string{"a", "b"}, at: func() time.Time { return asOf }, synced: asOf.Add(-5 * time.Second)}, nil)
	m := srv.metrics
	m.Sent(replication.Send{}, errors.New("silent"))
	m.Started("j1", time.Second)
	m.Loaded("j1", 20*time.Millisecond)
	m.Ran("j1", "succeeded", time.Minute)
	m.Committed(time.Millisecond)
	m.GossipRefused("incarnation")
	m.refused("busy")
	scrape(t, srv, "")
	return srv
}

// scrape is what /metrics says.
func scrape(t testing.TB, srv *Server, accept string) string {
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	srv.handler().ServeHTTP(w, r)
	require.Equal(t, 200, w.Code, w.Body)
	return w.Body.String()
}

// What promtool check metrics would say of ours is nothing; names say their units.
func TestMetricsAreClean(t *testing.T) {
	all, err := everything(t).metrics.own.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	for _, f := range all {
		require.True(t, strings.HasPrefix(f.GetName(), "ucp_"), f.GetName())
	}
}

// Every metric that a broker may have is in the table from which the page is written, and shown where it is known.
func TestEveryFigureIsShown(t *testing.T) {
	all, err := everything(t).metrics.own.Gather()
	require.NoError(t, err)
	var shown, known []string
	kinds := map[string]string{}
	for _, f := range all {
		shown = append(shown, f.GetName())
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	for _, f := range figures {
		known = append(known, f.name)
		require.Equal(t, f.kind, kinds[f.name], f.name)
	}
	require.ElementsMatch(t, known, shown)
}

// What is not known is left out: a broker that has published nothing yet does not say that there is no emergency, that all brokers are
// healthy, and that nothing has failed.
func TestUnknownIsAbsent(t *testing.T) {
	srv := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, nil, &shownHost{}, nil)
	text := scrape(t, srv, "")
	for _, name := range []string{
		"ucp_emergency_level", "ucp_peers", "ucp_peer_health", "ucp_jobs_unfinished", "ucp_jobs_ended_total", "ucp_decisions_total", "ucp_held_back_jobs", "ucp_stable_lag_updates",
		"ucp_offer_withdrawn", "ucp_used_cpu_cores", "ucp_workers", "ucp_disk_bytes", "ucp_disk_inodes", "ucp_disk_full", "ucp_sync_age_seconds", "ucp_forks", "ucp_oldest_waiting_seconds", "ucp_quarantined_records",
	} {
		require.NotContains(t, text, "\n"+name, name)
	}
	require.Contains(t, text, `ucp_build_info{broker="a",`)

	srv = everything(t)
	text = scrape(t, srv, "")
	for _, line := range []string{
		`ucp_oldest_waiting_seconds{level="critical"} 90`, `ucp_acknowledgements_total{degraded="true"} 2`, `ucp_acknowledgements_total{degraded="false"} 3`,
		`ucp_jobs_ended_total{outcome="failed"} 7`, `ucp_disk_bytes{part="free"} 50`, `ucp_workers{state="idle"} 1`, `ucp_peer_silence_seconds{peer="b"} 0`, `ucp_build_info{broker="a",goversion="`,
	} {
		require.Contains(t, text, "\n"+line)
	}
	require.Equal(t, 1, strings.Count(text, "\nucp_oldest_waiting_seconds{"), "no job waits at the other levels")
	require.Contains(t, text, "\nucp_sync_age_seconds 5\n")
	srv.host.(*shownHost).synced = time.Time{}
	require.NotContains(t, scrape(t, srv, ""), "\nucp_sync_age_seconds", "there was no exchange yet")
}

// Who asks for OpenMetrics is told which job took so long.
func TestExemplarsNameJobs(t *testing.T) {
	srv := everything(t)
	srv.metrics.Ran(job.ID("slow-one"), "failed", 40*time.Minute)
	text := scrape(t, srv, "application/openmetrics-text; version=1.0.0")
	require.Regexp(t, `ucp_attempt_run_seconds_bucket\{outcome="failed",le="[0-9.]+"\} 1 # \{job_id="slow-one"\} 2400`, text)
	require.True(t, strings.HasSuffix(text, "# EOF\n"))
	require.NotContains(t, scrape(t, srv, ""), "slow-one", "the text format has none")
}

// A request that waits as it was told to is not a slow one.
func TestWaitingIsNoLatency(t *testing.T) {
	srv := everything(t)
	for _, path := range []string{"/healthz", "/healthz?wait=5s", "/healthz?follow=1"} {
		srv.handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	require.Contains(t, scrape(t, srv, ""), `ucp_http_request_seconds_count{route="GET /healthz"} 1`)
}

// metricsPage is docs/metrics.md.
func metricsPage() string {
	var b strings.Builder
	b.WriteString(metricsHead)
	last := ""
	for _, f := range figures {
		if f.group != last {
			last = f.group
			fmt.Fprintf(&b, "\n## %s\n\n| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n", last)
		}
		labels := ""
		for i, l := range f.labels {
			if i > 0 {
				labels += ", "
			}
			labels += "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, strings.ReplaceAll(f.help, "|", "\\|"))
	}
	return b.String()
}

const metricsHead = `# Metrics

<!-- Written by ` + "`go test ./node/httpd -run TestMetricsPage -rewrite`" + ` from node/httpd/figures.go: change that. -->

` + "`GET /metrics`" + ` of each broker, in the text format of Prometheus, or in OpenMetrics for who asks for that: then times have exemplars, which name a job (` + "`job_id`" + `).
In a city it needs the scope ` + "`read`" + `: see [security.md](security.md). Rules for alerts are in [deploy/prometheus](../deploy/prometheus/ucp.rules.yaml),
a dashboard for Grafana in [deploy/grafana](../deploy/grafana/ucp.json).

A broker tells of itself, and of others only as it sees them: two brokers may differ, and a broker that nobody scrapes says nothing. **What is not known is left out, and is
not 0**: a rule about a missing metric is written with ` + "`absent()`" + `. Counters begin at 0 with each start of a broker. A scrape costs what there is of brokers, routes and workers, and not of jobs.

Beside these there are those of the Go runtime (` + "`go_*`" + `), of the process (` + "`process_*`" + `), and what Serf and memberlist count (` + "`serf_*`, `memberlist_*`" + `).
`

// The page of metrics is what the code says.
func TestMetricsPage(t *testing.T) {
	const file = "../../docs/metrics.md"
	if *rewrite {
		require.NoError(t, os.WriteFile(file, []byte(metricsPage()), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, metricsPage(), string(got), "go test ./node/httpd -run TestMetricsPage -rewrite")
}

var metricName = regexp.MustCompile(`\bucp_[a-z0-9_]+`)

// Rules, their tests and the dashboard name no metric that does not exist, and no value of a label that is not documented.
func TestDeployedNamesExist(t *testing.T) {
	known := map[string]bool{}
	for _, f := range figures {
		known[f.name] = true
		if f.kind == histogram {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				known[f.name+part] = true
			}
		}
	}
	for _, file := range []string{"prometheus/ucp.rules.yaml", "prometheus/ucp.rules.test.yaml", "grafana/ucp.json"} {
		text, err := os.ReadFile("../../deploy/" + file)
		require.NoError(t, err)
		names := metricName.FindAllString(string(text), -1)
		require.NotEmpty(t, names)
		for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
			require.True(t, known[name], "%s names %s", file, name)
		}
	}
}

// BenchmarkScrape is what a scrape costs; node has it with 100,000 jobs.
func BenchmarkScrape(b *testing.B) {
	srv := everything(b)
	for b.Loop() {
		scrape(b, srv, "")
	}
}
