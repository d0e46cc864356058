package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// The history of conflicts is bounded, and shrinks while memory is tight; the newest
// stay, and the count goes on.
func TestConflictHistoryShrinks(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(c *Config) { c.Conflicts = 20 })
	w.meet()
	w.pass(3 * time.Second)
	for i := range 30 {
		id := job.ID(fmt.Sprintf("j%02d", i))
		spec := job.Spec{Command: "work", Resources: job.Resources{CPU: 900}, Priority: job.Priority{User: job.DefaultUser}}
		require.NoError(t, spec.Complete())
		w.ask(n, "", func(tok Token) Input { return Submit{Token: tok, ID: id, Spec: spec} })
		w.settle()
	}
	list := func() *Conflicts {
		require.NoError(t, n.b.Step(ListConflicts{Token: 9999, Limit: 100}))
		rd := n.b.Ready()
		n.b.Advance(rd)
		return rd.Answers[len(rd.Answers)-1].Answer.(*Conflicts)
	}
	all := list()
	require.Len(t, all.List, 20)
	require.EqualValues(t, 29, all.Total, "the first job found room")
	w.step(n, Pressure{Stretch: 1, Tight: true})
	require.Equal(t, all.List[:2], list().List)
	w.step(n, Pressure{Stretch: 1})
	require.Equal(t, all.List[:2], list().List)
	require.Equal(t, all.Total, list().Total)
	require.EqualValues(t, 29, n.b.stats.Conflicts.Of(resolve.Default))
}
