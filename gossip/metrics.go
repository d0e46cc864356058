package gossip

import (
	"fmt"

	"github.com/hashicorp/go-metrics"
)

// InstallMetrics makes Serf, memberlist and the agent emit their metrics to sink (for instance a Prometheus
// sink), under names that begin with "serf", "memberlist" and "agent". They can only use the process-wide
// sink of go-metrics, so a program should call this once, before the first Start. The caller keeps the sink
// and shuts it down.
//
// Serf also counts each user event and each query under its name. The names come from peers and are
// unbounded, so a series for each could exhaust the memory: these metrics are left out.
func InstallMetrics(sink metrics.MetricSink) error {
	conf := metrics.DefaultConfig("")
	conf.EnableHostname = false
	conf.EnableRuntimeMetrics = false
	conf.BlockedPrefixes = []string{"serf.events.", "serf.queries."}
	if _, err := metrics.NewGlobal(conf, sink); err != nil {
		return fmt.Errorf("gossip: installing the metrics sink: %w", err)
	}
	return nil
}
