package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// C2: an executor that does not know yet what a job depends on waits for that news, and
// after 10 s it goes on and counts that it did. Under another strategy it does not wait.
func TestExecutorWaitsForCauses(t *testing.T) {
	later := clock.Dot{Actor: "z~1", Counter: 5}
	arrive := func() *world {
		w := newWorld()
		w.start("a", func(*Config) {})
		w.meet()
		w.pass(3 * time.Second)
		w.sees(w.nodes["a"], "c", "c~1")
		spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
		require.NoError(t, spec.Complete())
		dot := clock.Dot{Actor: "c~1", Counter: 1}
		r := job.New("j", spec, spec.Digest(), job.Stamp{Dot: dot, At: w.nodes["a"].b.stamp(), Deps: []job.Dependency{{Job: "i", Dot: later}}})
		r.Place = job.Placement{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: 1}, Broker: "a", Actor: "a~1"}
		w.deliver(packet{from: "c", to: "a", wire: wire.Encode(&wire.Message{Version: wire.Version, From: "c", Actor: "c~1", Delta: &wire.Delta{
			Records: []wire.Encoded{{Kind: kind.Job, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}}, Clock: clock.NewTips(dot),
		}})})
		w.said = nil
		return w
	}
	w := arrive()
	w.pass(causalWait - time.Second)
	require.Empty(t, w.said, "the job before it may be on its way")
	f := w.nodes["a"].b.found(w.nodes["a"].b.record(w.nodes["a"].b.jobs.withID("j")[0]), nil)
	require.Equal(t, "waits for news of what it depends on", f.Why)
	w.pass(2 * time.Second)
	require.Equal(t, []string{"a runs j #1.1"}, w.said)
	require.EqualValues(t, 1, w.nodes["a"].b.stats.Uncaused)

	w = arrive() // the news comes: that job has ended and is forgotten
	w.pass(time.Second)
	w.deliver(packet{from: "c", to: "a", wire: wire.Encode(&wire.Message{Version: wire.Version, From: "c", Actor: "c~1", Delta: &wire.Delta{
		Since: clock.NewTips(clock.Dot{Actor: "c~1", Counter: 1}), Clock: clock.NewTips(clock.Dot{Actor: "c~1", Counter: 1}, later),
	}})})
	w.pass(100 * time.Millisecond)
	require.Equal(t, []string{"a runs j #1.1"}, w.said)
	require.Zero(t, w.nodes["a"].b.stats.Uncaused)

	w = arrive()
	w.step(w.nodes["a"], SetStrategy{Token: 99, Strategy: "fcfs"})
	w.pass(100 * time.Millisecond)
	require.Equal(t, []string{"a runs j #1.1"}, w.said)
}

// A thick web of jobs that wait for one another costs what it holds, and not the ways
// through it.
func TestManyDependenciesAreCheap(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.meet()
	w.pass(3 * time.Second)
	var layer []job.ID
	began := time.Now()
	for depth := range 12 {
		var next []job.ID
		for i := range 12 {
			id := job.ID(fmt.Sprintf("j%d-%d", depth, i))
			spec := job.Spec{Command: "work", After: layer, Priority: job.Priority{User: job.DefaultUser}}
			require.NoError(t, spec.Complete())
			w.ask(n, "", func(tok Token) Input { return Submit{Token: tok, ID: id, Spec: spec} })
			next = append(next, id)
		}
		layer = next
	}
	w.settle()
	require.Less(t, time.Since(began), 20*time.Second, "12 to the 12th are the ways")
	spec := job.Spec{Command: "work", After: layer[:1], Priority: job.Priority{User: job.DefaultUser, Emergency: "critical"}}
	require.NoError(t, spec.Complete())
	w.ask(n, "", func(tok Token) Input { return Submit{Token: tok, ID: "last", Spec: spec} })
	w.settle()
	first, _ := n.b.resolve("j0-3")
	require.Equal(t, job.Level("critical"), n.b.decisions.candidate(first).Raised)
}
