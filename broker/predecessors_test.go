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

// The same of a job of an array, whose end was noted when all had succeeded.
func TestASealedEndInAnArrayIsNoted(t *testing.T) {
	w := newCluster("a")
	a := w.nodes["a"]
	w.submit(a, "t.1")
	w.submit(a, "t.2")
	w.settle()
	for key, run := range a.running {
		w.step(a, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded}})
	}
	w.settle()
	spec := job.Spec{Command: "work", Constraints: []string{"gpu"}, After: []job.ID{"t[1-2]"}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	w.ask(a, "j", func(t Token) Input { return Submit{Token: t, ID: "j", Spec: spec} })
	w.settle()
	one, _ := a.b.resolve("t.1")
	j, _ := a.b.resolve("j")
	require.Len(t, j.Ended, 1)
	require.Equal(t, job.Succeeded, j.Ended[0].Outcome)

	a.b.update(one.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		return old.With(dot, func(r *job.Record) {
			r.SetSeal(job.Verdict{At: a.b.stamp(), Dot: dot, Outcome: job.Failed}, 0, dot)
		})
	})
	w.settle()
	j, _ = a.b.resolve("j")
	require.Equal(t, job.StateFailed, j.State())
	require.Contains(t, j.Verdict().Reason, "t.1, one of the 2 jobs of t[1-2]")
}

// Where the owner of a job can't come to know that the last job of an array has ended, since it was told to forget that before, another
// broker that knows notes it (rules C4, L9).
func TestOthersNoteTheEndOfAnArray(t *testing.T) {
	w := newCluster("a", "b")
	a, b := w.nodes["a"], w.nodes["b"]
	w.submit(b, "t.1")
	w.submit(b, "t.2")
	w.settle()
	spec := job.Spec{Command: "work", After: []job.ID{"t[1-2]"}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	w.ask(a, "j", func(t Token) Input { return Submit{Token: t, ID: "j", Spec: spec} })
	w.settle()
	one, _ := a.b.resolve("t.1")
	w.over[w.minted[one.Created[0].Dot]] = true
	a.b.forget(one)
	end := func(id job.ID) {
		for _, n := range []*node{a, b} {
			for key, run := range n.running {
				if run.ID == id {
					w.step(n, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded}})
				}
			}
		}
		w.settle()
	}
	state := func() job.State {
		j, _ := b.b.resolve("j")
		return j.State()
	}
	end("t.1")
	w.pass(2 * trackedFor * w.cfg.SyncInterval)
	require.Equal(t, job.StatePending, state(), "t.2 runs, and others remember t.1")
	end("t.2")
	require.Equal(t, job.StatePending, state())
	w.pass(2*remindAfter + time.Second)
	require.Equal(t, job.StateRunning, state())
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
