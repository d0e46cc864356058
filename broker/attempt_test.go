package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// What an executor does when records tell it of other attempts at a job that it
// runs. The other owner is written here by hand: takeover is a later part, but its
// records may come from a newer broker.

// running is a world of two brokers in which b runs j1, which a owns.
func running(t *testing.T) (w *world, key string) {
	w = newWorld()
	w.start("a", func(c *Config) {})
	w.start("b", func(c *Config) { c.Capabilities.Labels["here"] = "yes" })
	w.start("c", func(c *Config) {})
	w.meet()
	w.pass(3 * time.Second)
	w.crash("c", false) // the test speaks for it
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}, Constraints: []string{"here"}}
	require.NoError(t, spec.Complete())
	w.ask(w.nodes["a"], "j1", func(tok Token) Input { return Submit{Token: tok, ID: "j1", Spec: spec} })
	w.settle()
	require.Contains(t, w.said, "b runs j1 #1.1")
	t.Cleanup(func() {
		w.checkHeld()
		require.Empty(t, w.errors)
	})
	return w, job.Key("j1", spec.Digest())
}

// tell delivers a record as c's word: changed by edit, under c's next dot.
func (w *world) tell(to, key string, counter uint64, edit func(clock.Dot, *job.Record)) {
	dot := clock.Dot{Actor: "c~1", Counter: counter}
	r := w.nodes[to].b.record(key).With(dot, func(r *job.Record) { edit(dot, r) })
	m := wire.Message{Version: wire.Version, From: "c", Actor: "c~1", Delta: &wire.Delta{
		Records: []wire.Encoded{{Kind: kind.Job, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}},
	}}
	w.deliver(packet{from: "c", to: to, wire: wire.Encode(&m)})
	w.said = nil
	w.settle()
}

// taken makes c the owner of the next epoch, and places a new attempt.
func taken(at string, actor clock.Actor) func(clock.Dot, *job.Record) {
	return func(dot clock.Dot, r *job.Record) {
		r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: r.Owner.Tenure.Epoch + 1, At: r.Owner.Tenure.At + 1, By: dot.Actor}, Broker: "c", Actor: dot.Actor}
		r.Place = job.Placement{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: 2}, Broker: at, Actor: actor}
	}
}

func says(phase job.Phase) func(clock.Dot, *job.Record) {
	return func(dot clock.Dot, r *job.Record) {
		rep := job.Report{Attempt: r.Place.Attempt, Dot: dot, At: r.Owner.Tenure.At + 2, Phase: phase}
		if phase == job.Done {
			rep.Result = &job.Result{Outcome: job.Succeeded}
		}
		r.SetReport(rep)
	}
}

// J7: a running attempt is not stopped by a newer owner's before that runs: else a
// broker with a dead network card would at its return stop what healthy ones do.
func TestRunningAttemptIsStoppedOnlyByOneThatRuns(t *testing.T) {
	w, key := running(t)
	w.tell("b", key, 1, taken("c", "c~1"))
	require.Empty(t, w.said, "the newer attempt is only placed")
	w.tell("b", key, 2, says(job.Queued))
	require.Empty(t, w.said, "it waits")
	w.tell("b", key, 3, says(job.Running))
	require.Equal(t, []string{"b stops j1 #1.1"}, w.said)
	w.pass(time.Minute)
	require.Equal(t, []string{"b stops j1 #1.1"}, w.said, "once")
}

// J7: when the newer attempt is placed where the older one runs, that goes on, and
// its result counts.
func TestNewerAttemptAtTheSameBrokerAdoptsTheOlder(t *testing.T) {
	w, key := running(t)
	w.tell("b", key, 1, taken("b", "b~1"))
	require.Empty(t, w.said)
	run := w.nodes["b"].running[key]
	require.Equal(t, uint64(1), run.Attempt.Tenure.Epoch)
	w.step(w.nodes["b"], Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded}})
	delete(w.nodes["b"].running, key)
	w.settle()
	r := w.nodes["a"].b.record(key)
	require.Equal(t, job.Done, r.Reports[0].Phase)
	require.NotContains(t, w.said, "b runs j1 #2.2")
}

// An attempt that its own owner has replaced is given up when the newer one runs.
func TestOwnersOwnReplacementStopsWhenItRuns(t *testing.T) {
	w, key := running(t)
	w.tell("b", key, 1, func(dot clock.Dot, r *job.Record) {
		r.Place = job.Placement{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: 2}, Broker: "c", Actor: "c~1"}
		says(job.Running)(dot, r)
	})
	require.Equal(t, []string{"b stops j1 #1.1"}, w.said)
}

// A result of an attempt that was stopped, but had ended by itself before, is kept;
// a stop that succeeded reports nothing.
func TestStoppedAttemptThatHadEnded(t *testing.T) {
	w, key := running(t)
	w.tell("b", key, 1, taken("c", "c~1"))
	w.tell("b", key, 2, says(job.Running))
	b := w.nodes["b"]
	stop := b.stops[key]
	w.step(b, Reported{Key: key, Attempt: stop.Attempt, Result: job.Result{Outcome: job.Succeeded}})
	delete(b.running, key)
	w.settle()
	r := b.b.record(key)
	require.Equal(t, job.Done, r.Reports[0].Phase)
	require.False(t, r.Finished(), "c owns it and decides")

	w.tell("b", key, 3, func(dot clock.Dot, r *job.Record) {
		says(job.Done)(dot, r)
		r.AddVerdict(job.Verdict{At: r.Owner.Tenure.At + 9, Dot: dot, Outcome: job.Succeeded, Report: &r.Reports[1]})
	})
	r = b.b.record(key)
	require.Len(t, r.Late(), 1)
	require.Equal(t, clock.Actor("b~1"), r.Late()[0].Dot.Actor, "rejected, and remembered")
}

// A failure of an attempt that was given up decides nothing; a success does,
// whichever attempt it is of: the first result is accepted (J1).
func TestWhichResultsCount(t *testing.T) {
	for phase, outcome := range map[string]job.Outcome{"fails": job.Failed, "succeeds": job.Succeeded} {
		t.Run(phase, func(t *testing.T) {
			w, key := running(t)
			// The owner learns of a restart of b's machine and places the job again, while
			// the report of the old attempt is still on its way.
			run := w.nodes["b"].running[key]
			w.tell("a", key, 1, func(dot clock.Dot, r *job.Record) {
				r.SetReport(job.Report{Attempt: job.Attempt{Tenure: run.Attempt.Tenure, Seq: 0}, Dot: dot, At: r.Owner.Tenure.At + 1, Phase: job.Done,
					Result: &job.Result{Outcome: outcome}})
			})
			require.Equal(t, outcome == job.Succeeded, w.nodes["a"].b.record(key).Finished())
		})
	}
}

// A result whose list of files is too large for a record fails for good, and says
// what to do (L11).
func TestResultThatIsTooLarge(t *testing.T) {
	w, key := running(t)
	b := w.nodes["b"]
	run := b.running[key]
	delete(b.running, key)
	res := job.Result{Outcome: job.Succeeded, Outputs: map[string]job.Blob{}}
	for i := range 1000 {
		res.Outputs[time.Duration(i).String()] = job.Blob{Digest: "0123456789012345678901234567890123456789012345678901234567890123"}
	}
	w.step(b, Reported{Key: key, Attempt: run.Attempt, Result: res})
	w.settle()
	v := w.nodes["a"].b.record(key).Verdict()
	require.Equal(t, job.Failed, v.Outcome)
	require.Contains(t, v.Reason, "pack them into one file")
}

// The reason of a verdict is bounded as the record is (L11), also when that cuts a
// letter in two.
func TestLongReasonIsCut(t *testing.T) {
	w, key := running(t)
	long := "x"
	for len(long) < 3*job.MaxReason {
		long += "ä"
	}
	w.ask(w.nodes["a"], "cancel", func(tok Token) Input { return Cancel{Token: tok, ID: "j1", Reason: long} })
	w.settle()
	reason := w.nodes["b"].b.record(key).Verdict().Reason
	require.Equal(t, long[:job.MaxReason-1], reason)
}

// News of inputs for an attempt that was given up start nothing: the present one
// still waits for its own.
func TestFetchedForAnotherAttempt(t *testing.T) {
	w := newWorld()
	w.start("a", func(*Config) {})
	w.start("b", func(c *Config) { c.Capabilities.Labels["here"] = "yes" })
	w.meet()
	w.pass(3 * time.Second)
	spec := job.Spec{Module: "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", Priority: job.Priority{User: job.DefaultUser}, Constraints: []string{"here"}}
	require.NoError(t, spec.Complete())
	w.ask(w.nodes["a"], "j1", func(tok Token) Input { return Submit{Token: tok, ID: "j1", Spec: spec} })
	w.settle()
	b, key := w.nodes["b"], job.Key("j1", spec.Digest())
	f := b.fetch[key]
	other := f.Attempt
	other.Seq++
	w.step(b, Fetched{Key: key, Attempt: other})
	w.step(b, Fetched{Key: key, Attempt: other, Err: "gone"})
	w.settle()
	require.NotContains(t, w.said, "b runs j1 #1.1")
	w.step(b, Fetched{Key: key, Attempt: f.Attempt})
	w.step(b, Fetched{Key: key, Attempt: f.Attempt})
	w.settle()
	require.Contains(t, w.said, "b runs j1 #1.1")
	require.Empty(t, w.errors)
}
