package node

import (
	"log/slog"
	"sync"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node/httpd"
)

// executions carries what the core has decided about attempts to the executor, and what becomes of
// them back to the core.
type executions struct {
	runner  Runner
	engine  *engine
	metrics *httpd.Metrics
	log     *slog.Logger
	now     func() time.Time
	usage   usage

	mu       sync.Mutex
	attempts map[string]execution // those that run: the executor knows them by key and token
}

// act tells the executor what to do; it does not block.
func (x *executions) act(rd broker.Ready) {
	for _, s := range rd.Suspend {
		x.runner.Suspend(s.Key, s.Attempt.Token())
	}
	for _, r := range rd.Resume {
		x.runner.Resume(r.Key, r.Attempt.Token())
	}
	for _, s := range rd.Stop {
		end := x.runner.Stop
		if s.Keep {
			end = x.runner.StopAndKeep
		}
		end(s.Key, s.Attempt.Token())
	}
	for _, d := range rd.Prepare {
		x.runner.Prepare(d)
	}
	for _, r := range rd.Run {
		x.remember(r)
		x.metrics.Started(r.ID, r.Waited)
		t := executor.Task{Key: r.Key, ID: r.ID, Attempt: r.Attempt.Token(), Spec: r.Spec}
		if c := r.From; c != nil {
			t.From = &executor.Checkpoint{Tree: c.Tree, Bytes: c.Bytes, Ran: time.Duration(c.Ran)}
		}
		x.runner.Start(t)
	}
}

// report hands an executor's news to the core.
func (x *executions) report(u executor.Update) {
	if u.Result == nil {
		run, ok := x.find(u.Key, u.Attempt)
		attempt := run.attempt
		if ok && u.Phase == executor.PhaseLoaded {
			x.metrics.Loaded(run.id, x.now().Sub(run.begun))
		}
		switch {
		case !ok:
		case u.Phase == executor.PhaseSuspended:
			x.engine.Tell(broker.Paused{Key: u.Key, Attempt: attempt})
		case u.Phase == executor.PhaseCheckpoint:
			in := broker.Checkpointed{Key: u.Key, Attempt: attempt, Problem: u.Problem}
			if c := u.Checkpoint; c != nil {
				in.Tree, in.Bytes, in.Ran = c.Tree, c.Bytes, c.Ran
			}
			x.engine.Tell(in)
		case u.Phase == executor.PhaseGone:
			x.engine.Tell(broker.Gone{Key: u.Key, Attempt: attempt})
		case u.Phase == executor.PhaseLoading, u.Phase == executor.PhaseLoaded:
			x.engine.Tell(broker.Loads{Key: u.Key, Attempt: attempt, On: u.Phase == executor.PhaseLoading})
		}
		return // that it runs was in the record before it did
	}
	run, ok := x.forget(u.Key, u.Attempt)
	if !ok {
		x.log.Error("the executor reports an attempt that was never started", "key", u.Key, "attempt", u.Attempt)
		return
	}
	x.metrics.Ran(run.id, outcomeOf(&u), u.Result.Finished.Time().Sub(u.Result.Started.Time()))
	if u.Returned {
		x.log.Warn("this broker could not carry out a job, and returns it", "key", u.Key, "attempt", u.Attempt, "reason", u.Result.Reason)
	}
	x.engine.Tell(broker.Reported{Key: u.Key, Attempt: run.attempt, Result: *u.Result, Stopped: u.Stopped, Returned: u.Returned, Began: u.Began})
}

// unable hands on that no worker can be started.
func (x *executions) unable(why string) { x.engine.Tell(broker.Unable{Why: why}) }

// compiled hands on which modules are compiled here.
func (x *executions) compiled(digests []job.Digest) { x.engine.Tell(broker.Compiled{Digests: digests}) }

// used is how many cores jobs kept busy lately, and the bytes of memory that they hold, where that is known.
func (x *executions) used() (cores, memory float64, known bool) {
	return x.usage.read(x.runner, x.now())
}

// execution is an attempt that was started.
type execution struct {
	attempt job.Attempt
	id      job.ID
	begun   time.Time
}

// outcomeOf says how an attempt has ended, as metrics do.
func outcomeOf(u *executor.Update) string {
	switch {
	case u.Returned:
		return "returned"
	case u.Stopped:
		return "stopped"
	}
	return string(u.Result.Outcome)
}

func attemptID(key, token string) string { return key + "\x00" + token }

func (x *executions) remember(r broker.Run) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.attempts == nil {
		x.attempts = map[string]execution{}
	}
	x.attempts[attemptID(r.Key, r.Attempt.Token())] = execution{r.Attempt, r.ID, x.now()}
}

func (x *executions) find(key, token string) (execution, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a, ok := x.attempts[attemptID(key, token)]
	return a, ok
}

func (x *executions) forget(key, token string) (execution, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	id := attemptID(key, token)
	a, ok := x.attempts[id]
	delete(x.attempts, id)
	return a, ok
}
