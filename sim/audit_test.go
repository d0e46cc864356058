package sim

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/audit"
	"github.com/urban-compute/ucp/emergency"
)

// Each broker's audit log has the orders that it was given, also over a kill, and the others are witnesses of it.
func TestAuditLogs(t *testing.T) {
	t.Parallel()
	inCluster(t, 3, nil, func(t *testing.T, c *Cluster) {
		ctx := context.Background()
		s, err := c.Client("b0").Coordination(ctx)
		require.NoError(t, err)
		_, err = c.Submit("b0", "j1", time.Second)
		require.NoError(t, err)
		_, _, err = c.Client("b1").Declare(ctx, emergency.Declaration{Type: "flood", Level: "high"})
		require.NoError(t, err)
		_, err = c.Client("b1").SetStrategy(ctx, "priority", true)
		require.NoError(t, err)
		_, err = c.Client("b2").Job(ctx, "j1", time.Minute)
		require.NoError(t, err)
		time.Sleep(time.Second) // an entry is on disk within that
		c.Kill("b1")
		c.Restart("b1")
		_, err = c.Client("b1").Cancel(ctx, "j1")
		require.ErrorContains(t, err, "already ended") // it was refused, and is in no log
		time.Sleep(5 * time.Minute)

		var logs []*audit.Copy
		orders := map[string][]string{}
		for _, name := range c.Names() {
			body, err := c.Client(name).Audit(ctx)
			require.NoError(t, err)
			log, err := audit.Read(body)
			require.NoError(t, err)
			require.NoError(t, body.Close())
			require.Equal(t, name, log.Checkpoint.Name)
			logs = append(logs, log)
			for _, e := range log.Entries {
				if e.What != audit.Witness {
					orders[name] = append(orders[name], e.What+" "+e.Detail)
				}
			}
		}
		require.Empty(t, audit.Compare(logs))
		start := "start ucp " + s.Software
		require.Equal(t, map[string][]string{
			"b0": {start, "submit "}, "b1": {start, "declare high flood", "switch of all brokers", start}, "b2": {start},
		}, orders)
		for _, log := range logs {
			require.GreaterOrEqual(t, audit.Witnessed(logs, log.Checkpoint.Name, log.Key), log.Checkpoint.Orders, log.Checkpoint.Name)
		}

		c.Kill("b1")
		c.Restore("b1", vfs.NewMem())
		c.Restart("b1")
		_, err = c.Client("b1").SetStrategy(ctx, "fcfs", true)
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		for at, want := range map[string]bool{"b0": true, "b1": false, "b2": true} {
			s, err := c.Client(at).Coordination(ctx)
			require.NoError(t, err)
			require.Equal(t, want, strings.Contains(strings.Join(s.Warnings, "\n"), "the audit log of b1 is not what it was, as of "), "%s: %q", at, s.Warnings)
		}
	})
}
