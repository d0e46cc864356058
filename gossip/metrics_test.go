package gossip

import (
	"testing"
	"time"

	"github.com/hashicorp/go-metrics"
	"github.com/stretchr/testify/require"
)

func TestMetricsLeaveOutNamesFromPeers(t *testing.T) {
	sink := metrics.NewInmemSink(time.Hour, time.Hour)
	require.NoError(t, InstallMetrics(sink))
	t.Cleanup(func() { require.NoError(t, InstallMetrics(&metrics.BlackholeSink{})) })
	metrics.IncrCounter([]string{"serf", "events"}, 1)
	metrics.IncrCounter([]string{"serf", "events", "anything a peer likes"}, 1)
	metrics.IncrCounter([]string{"serf", "queries", "anything a peer likes"}, 1)
	metrics.IncrCounter([]string{"memberlist", "udp", "sent"}, 1)
	counters := sink.Data()[0].Counters
	require.Contains(t, counters, "serf.events")
	require.Contains(t, counters, "memberlist.udp.sent")
	require.Len(t, counters, 2)
}
