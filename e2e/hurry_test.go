package e2e

import (
	"fmt"
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
	a.submitFull("quiet-1", "")
	a.is("quiet-1", job.StateRunning)
	surveys := []string{"survey-1", "survey-2", "survey-3"}
	for _, id := range surveys {
		a.submitAnywhere(id, "flood")
	}
	for i := 2; i <= 3; i++ {
		b := start(t, fmt.Sprintf("n%d", i), a, "--cpu", "1.0", "--allow-process", "--strategy", "emergency")
		id := fmt.Sprintf("quiet-%d", i)
		b.submitFull(id, "")
		b.is(id, job.StateRunning)
		brokers = append(brokers, b)
	}
	at := map[string]bool{}
	for _, id := range surveys {
		j, err := a.client.Job(t.Context(), job.ID(id))
		require.NoError(t, err)
		at[j.Executor] = true
	}
	t.Log("they wait at", at)

	began := time.Now()
	_, _, err := brokers[2].client.Declare(t.Context(), emergency.Declaration{ID: "flood-1", Type: "flood", Level: "critical"})
	require.NoError(t, err)
	eventually(t, 5*time.Second, "all surveys run", func() bool {
		for _, id := range surveys {
			if a.state(id) != job.StateRunning {
				return false
			}
		}
		return true
	})
	t.Log("all surveys run after", time.Since(began).Round(time.Millisecond))
}
