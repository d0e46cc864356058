package gossip

import (
	"fmt"

	"github.com/hashicorp/go-metrics"
)

// InstallMetrics lets Serf, memberlist and the agent emit their figures into sink
// (a Prometheus sink, say), under names that begin with "serf", "memberlist" and
// "agent". Their only outlet is the process-wide one of go-metrics, so that this
// is for the program's main, once, before the first Start; libraries and
// tests leave it alone. The caller keeps the sink and shuts it down.
//
// Serf also counts each user event and query under its name. Names come from
// peers, without bound, and a series for each would fill the memory: these
// figures are left out.
func InstallMetrics(sink metrics.MetricSink) error {
	conf := metrics.DefaultConfig("")
	conf.EnableHostname = false
	conf.EnableRuntimeMetrics = false
	conf.BlockedPrefixes = []string{"serf.events.", "serf.queries."}
	if _, err := metrics.NewGlobal(conf, sink); err != nil {
		return fmt.Errorf("gossip: install the metrics sink: %w", err)
	}
	return nil
}
