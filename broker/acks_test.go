package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// An end that is firm is shown to everybody, though members that show it are no copies yet, since they are not proven (rules A3,
// M3): otherwise it is told to one client as firm, whose token covers it, and to the next one as if the job still ran.
func TestWhatIsFirmIsNotWithheld(t *testing.T) {
	w := newCluster("a", "b")
	a, b := w.nodes["a"], w.nodes["b"]
	w.submit(a, "j1")
	w.settle()
	w.cut[[2]string{"a", "b"}], w.cut[[2]string{"b", "a"}] = true, true
	for key, run := range a.running {
		w.step(a, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded}})
	}
	w.settle()
	r, _ := a.b.resolve("j1")
	held := a.b.acks.withheld[r.Key()]
	require.NotNil(t, held, "b has not got the end")
	require.False(t, a.b.acks.shown(r).Finished())

	clear(w.cut)
	w.pass(w.cfg.SyncInterval)
	require.True(t, b.b.firm(r))
	require.True(t, a.b.firm(r))
	a.b.acks.withheld[r.Key()] = held // as if b, which holds it, were no copy
	require.True(t, a.b.acks.shown(r).Finished())
}
