package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// A message that was on its way when its sender was killed arrives after the sender's
// successor is there: it is not heard. Before SWIM knows of the successor it is.
// (make soak, seed 601: a result that all had shown as firm changed.)
func TestSupersededIncarnationsAreNotHeard(t *testing.T) {
	for _, succeeded := range []bool{false, true} {
		w := newWorld()
		for _, name := range []string{"a", "b"} {
			w.start(name, func(*Config) {})
		}
		w.meet()
		w.pass(w.cfg.AckTimeout)
		a, b := w.nodes["a"], w.nodes["b"]
		spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
		require.NoError(t, spec.Complete())
		w.ask(a, "", func(t Token) Input { return Submit{Token: t, ID: "j1", Spec: spec} })
		w.ready(a)
		p, ok := w.take([2]string{"a", "b"})
		require.True(t, ok, "the news is on its way")
		w.crash("a")
		clear(a.disk) // it was wiped
		w.start("a", func(*Config) {})
		if succeeded {
			w.meet()
			w.settle()
		}
		w.deliver(p)
		require.Equal(t, !succeeded, len(b.b.jobs.withID("j1")) == 1)
	}
}
