package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A message that was on its way when its sender was killed arrives after the sender's
// successor is there: it is not heard. Before SWIM knows of the successor it is.
// (make soak, seed 601: a result that all had shown as firm changed.)
func TestSupersededIncarnationsAreNotHeard(t *testing.T) {
	for _, succeeded := range []bool{false, true} {
		w := newCluster("a", "b")
		a, b := w.nodes["a"], w.nodes["b"]
		w.submit(a, "j1")
		w.ready(a)
		p, ok := w.take([2]string{"a", "b"})
		require.True(t, ok, "the news is on its way")
		w.crash("a", false)
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
