package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
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
	require.True(t, j2.Notes(j1.EndingFor(&j2.Spec)))
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

// A job whose owner knows nothing of a predecessor, as it has come from a peer without it, waits as long as a member is away
// that may know how that has ended; when all are there, three sync intervals (rule C4). The story C4_remembered_by_one_away
// is of a predecessor that is in doubt meanwhile.
func TestNoTrackIsLostWhileAMemberIsAway(t *testing.T) {
	w := newCluster("a", "b", "c")
	a := w.nodes["a"]
	w.pass(w.cfg.SyncInterval)
	spec := job.Spec{Command: "work", After: []job.ID{"j1"}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	dot := clock.Dot{Actor: "d~1", Counter: 1}
	r := job.New("j2", spec, spec.Digest(), job.Stamp{Dot: dot, At: a.b.stamp()}).With(dot, func(r *job.Record) {
		r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: 1, At: 1, By: "d~1"}, Broker: "a", Actor: a.cfg.Actor}
	})
	w.crash("c", false)
	w.meet()
	m := wire.Message{Version: wire.Version, From: "b", Actor: "b~1", Delta: &wire.Delta{Records: []wire.Encoded{{Kind: "job", Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}}}}
	w.deliver(packet{from: "b", to: "a", wire: wire.Encode(&m)})
	state := func() job.State { return a.b.record(r.Key()).State() }
	w.pass(time.Hour)
	require.Equal(t, job.StatePending, state())
	w.start("c", func(*Config) {})
	w.meet()
	w.pass((trackedFor - 1) * w.cfg.SyncInterval)
	require.Equal(t, job.StatePending, state())
	w.pass(3 * w.cfg.SyncInterval)
	require.Equal(t, job.StateFailed, state())
	require.Contains(t, a.b.record(r.Key()).Verdict().Reason, "nobody remembers how")
}
