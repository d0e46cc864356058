package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// When another end of a job is sealed, what runs after that job is looked at again, though nothing else happens (rules C4,
// F2).
func TestASealedEndIsNoted(t *testing.T) {
	w := newCluster("a")
	a := w.nodes["a"]
	w.submit(a, "j1")
	w.settle()
	for key, run := range a.running {
		w.step(a, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded}})
	}
	w.settle()
	spec := job.Spec{Command: "work", Constraints: []string{"gpu"}, After: []job.ID{"j1"}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	w.ask(a, "j2", func(t Token) Input { return Submit{Token: t, ID: "j2", Spec: spec} })
	w.settle()
	j1, _ := a.b.resolve("j1")
	j2, _ := a.b.resolve("j2")
	require.True(t, j2.Notes(j1.Ending()))
	require.Equal(t, job.StatePending, j2.State())

	a.b.update(j1.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		return old.With(dot, func(r *job.Record) {
			r.SetSeal(job.Verdict{At: a.b.stamp(), Dot: dot, Outcome: job.Failed}, 0, dot)
		})
	})
	w.settle()
	j2, _ = a.b.resolve("j2")
	require.Equal(t, job.StateFailed, j2.State())
}
