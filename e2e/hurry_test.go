package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// Three surveys queue at one of three brokers, which all run quiet jobs. Declared urgent, they all run, each at another broker, long
// before any quiet job has ended, and without the five seconds of a round of J9.
func TestUrgentJobsGoWhereTheyStart(t *testing.T) {
	brokers := startFull(t, 1)
	a := brokers[0]
	a.submitFull("quiet-a", "")
	a.is("quiet-a", job.StateRunning)
	surveys := []string{"survey-1", "survey-2", "survey-3"}
	for _, id := range surveys {
		a.submitLarge(id, "flood")
	}
	for _, name := range []string{"b", "c"} {
		b := startAgent(t, name, t.TempDir(), "--cpu", "0.95", "--allow-process", "--strategy", "emergency")
		b.submitFull("quiet-"+name, "")
		b.is("quiet-"+name, job.StateRunning)
		brokers = append(brokers, b)
	}
	for _, b := range brokers[1:] {
		require.Equal(t, 0, b.serf("join", a.gossip).code)
	}
	for _, b := range brokers {
		b.seesHealthy(2)
	}
	for _, id := range surveys {
		for _, quiet := range []string{"quiet-a", "quiet-b", "quiet-c"} {
			a.is(quiet, job.StateRunning)
		}
		a.is(id, job.StateQueued)
	}
	began := time.Now()
	_, _, err := brokers[2].client.Declare(t.Context(), emergency.Declaration{ID: "flood-1", Type: "flood", Level: "critical"})
	require.NoError(t, err)
	eventually(t, 4*time.Second, "all surveys run", func() bool {
		for _, id := range surveys {
			if a.state(id) != job.StateRunning {
				return false
			}
		}
		return true
	})
	t.Log("all surveys run after", time.Since(began).Round(time.Millisecond))
}
