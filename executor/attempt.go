package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/job"
)

// Deadlines of waits whose other side is ours.
const (
	// loadTimeout bounds what comes before the job's own time begins: compiling
	// its module, copying its inputs.
	loadTimeout = 5 * time.Minute
	// patience is what a worker gets beyond the grace, to kill its program and
	// say so, before it is killed itself.
	patience = 3 * time.Second
)

// attempt is one task under way; one goroutine runs it from start to end.
type attempt struct {
	e      *Executor
	task   Task
	number uint64
	dir    string
	ctx    context.Context // ended by Stop (errStopped) or Close
	cancel context.CancelCauseFunc
	begun  time.Time
	ended  bool // by Stop or Close, rather than by itself

	// What Suspend and Resume want, and the news that it has changed.
	wanted atomic.Bool
	wish   chan struct{}
	still  atomic.Bool // stands still, as reported
	asked  bool        // the worker owes an answer to a hold

	// For Usage, which looks on from outside.
	worker place
	group  int          // process group of the native program; 0 is none yet
	cpu    atomic.Int64 // nanoseconds of it, the most that was measured
}

// place is the worker process that an attempt is in, if any.
type place struct {
	mu   sync.Mutex
	here occupied
}

type occupied struct {
	pid    int
	native bool
	before time.Duration // CPU that the worker had used for others
}

func (p *place) set(o occupied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.here = o
}

func (p *place) get() (occupied, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here, p.here.pid != 0
}

func (a *attempt) run() {
	defer a.cancel(nil)
	res := a.execute()
	a.e.forget(a)
	a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt, Result: &res, Stopped: a.ended, CPU: time.Duration(a.cpu.Load())})
}

// execute does all of it and returns how it ended.
func (a *attempt) execute() job.Result {
	a.begun = time.Now()
	var o *order
	if err := a.patiently(a.ctx.Done(), func() (err error) { o, err = a.order(); return err }); err != nil {
		return a.failed(report{Failure: err.Error(), Permanent: errors.Is(err, errForbidden)})
	}
	leave, err := a.awaitTurn(o.Module)
	if err != nil {
		a.ended = true
		return a.failed(report{Failure: errStopped.Error()})
	}
	defer leave(false)
	r, err := a.handOver(o)
	if err != nil {
		a.ended = errors.Is(err, errStopped)
		return a.failed(report{Failure: err.Error()})
	}
	rep := a.watch(r, o, leave)
	defer a.clean(rep.Touched)
	return a.result(rep)
}

var errForbidden = errors.New("not allowed")

// order translates the task for a worker; it fails when a blob is not there.
func (a *attempt) order() (*order, error) {
	s := &a.task.Spec
	o := &order{
		Number: a.number, Driver: s.Driver, Name: s.Command, Args: s.Args, Env: envOf(&a.task), Dir: a.dir,
		Dirs: s.Dirs, Module: s.Module, Memory: s.Resources.Memory, NeedDir: len(s.Outputs) > 0,
	}
	if s.Driver == job.Process && !a.e.cfg.AllowProcess {
		return nil, fmt.Errorf("native programs are %w on this broker; its agent needs --allow-process", errForbidden)
	}
	if o.Name == "" {
		o.Name = string(a.task.ID)
	}
	var err error
	path := func(what string, d job.Digest) string {
		if d == "" || err != nil {
			return ""
		}
		p, perr := a.e.cfg.Blobs.Path(d)
		if perr != nil {
			err = fmt.Errorf("finding %s: %w", what, perr)
		}
		return p
	}
	o.Wasm = path("the module", s.Module)
	o.Stdin = path("stdin", s.Stdin)
	if len(s.Inputs) > 0 {
		o.Inputs = make(map[string]string, len(s.Inputs))
	}
	for name, d := range s.Inputs {
		o.Inputs[name] = path("input "+name, job.Digest(d))
	}
	return o, err
}

// envOf lists the job's environment and what every job gets; the last of a name
// wins, so that a job can't forge its token.
func envOf(t *Task) []string {
	env := make([]string, 0, len(t.Spec.Env)+2)
	for _, k := range slices.Sorted(maps.Keys(t.Spec.Env)) {
		env = append(env, k+"="+t.Spec.Env[k])
	}
	return append(env, "UCP_ATTEMPT="+t.Attempt, "UCP_JOB_ID="+string(t.ID))
}

// handOver gives the order to a worker and reports that the attempt has started.
// A worker that died while it was idle shows now; nothing has begun in it, so
// another one is asked.
func (a *attempt) handOver(o *order) (*remote, error) {
	for try := 0; ; try++ {
		if a.ctx.Err() != nil {
			return nil, errStopped
		}
		var r *remote
		err := a.patiently(a.ctx.Done(), func() (err error) {
			r, err = a.e.pool.acquire(o.Driver == job.Process, o.Module)
			return err
		})
		if a.ctx.Err() != nil && err != nil {
			return nil, errStopped
		}
		if err != nil {
			return nil, err
		}
		a.worker.set(occupied{r.pid(), r.native, r.before})
		if err = r.send(toWorker{Run: o}); err == nil {
			a.begun = time.Now()
			a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt})
			return r, nil
		}
		r.kill()
		if try == 3 {
			return nil, fmt.Errorf("giving the job to a worker: %w", err)
		}
	}
}

// watch waits for the worker's report, enforces the timeout and a stop, and
// gives the worker back, or kills it.
func (a *attempt) watch(r *remote, o *order, leave func(bool)) report {
	limit := time.Duration(a.task.Spec.Timeout)
	_, warm := r.warm[o.Module]
	own := warm || o.Driver == job.Process // the job's own time has begun
	clock := newCountdown(a.clock(own, limit))
	defer clock.timer.Stop()
	for {
		select {
		case m, ok := <-r.in:
			switch {
			case !ok:
				return a.dead(r, r.death)
			case m.Loaded:
				leave(true)
				own = true
				clock.set(a.clock(own, limit))
			case m.Group != 0:
				a.group = m.Group
			case m.Held != nil:
				a.held(m.Held, r, clock, leave)
			case m.Done != nil:
				a.giveBack(r, m.Done)
				return *m.Done
			}
		case <-a.wish:
			a.follow(r, clock, leave)
		case <-clock.timer.C:
			if !own {
				return a.end(r, fmt.Sprintf("the job was not ready to run after %v", loadTimeout))
			}
			if limit > 0 {
				return a.end(r, fmt.Sprintf("timeout after %v", limit))
			}
		case <-a.ctx.Done():
			a.ended = true
			return a.end(r, errStopped.Error())
		}
	}
}

// clock is how long the present phase may take; a day that then starts again
// stands for "no limit".
func (a *attempt) clock(own bool, limit time.Duration) time.Duration {
	switch {
	case !own:
		return loadTimeout
	case limit > 0:
		return limit
	default:
		return 24 * time.Hour
	}
}

func (a *attempt) giveBack(r *remote, done *report) {
	if !r.native && a.still.Load() {
		r.stand(false) // it had ended when it was stopped; the next job shall run
	}
	if done.Warm != nil {
		clear(r.warm)
		for _, d := range done.Warm {
			r.warm[d] = struct{}{}
		}
	}
	a.used(done.CPU - r.before)
	a.worker.set(occupied{})
	r.before = done.CPU
	a.group = 0
	a.e.pool.release(r)
}

// end stops the job in the worker. A wasm module can only be ended with its
// worker. A native program is asked first, and its exit code still counts; when
// the executor closes it is not asked.
//
// What had ended by itself before that stands as it is: this broker may have been
// stopped meanwhile, and hears of the result and of the order to stop in the same
// moment. Such a result is remembered, if only as one that came too late (rule J1).
func (a *attempt) end(r *remote, reason string) report {
	if a.e.ctx.Err() != nil {
		r.end(patience)
		for range r.in { // until it is dead
		}
		return a.dead(r, reason)
	}
	if !r.native {
		if done := r.lastWord(); done != nil {
			rep := a.dead(r, reason)
			a.ended = false
			rep.Code, rep.Failure, rep.Permanent, rep.Touched = done.Code, done.Failure, done.Permanent, done.Touched
			return rep
		}
		return a.dead(r, reason)
	}
	_ = r.send(toWorker{Stop: true})
	late := time.AfterFunc(a.e.cfg.Grace+patience, r.kill)
	defer late.Stop()
	for {
		select {
		case m, ok := <-r.in:
			switch {
			case !ok:
				return a.dead(r, reason)
			case m.Group != 0:
				a.group = m.Group
			case m.Done != nil:
				a.giveBack(r, m.Done)
				if m.Done.Asked {
					m.Done.Failure = reason
				} else {
					a.ended = false
				}
				return *m.Done
			}
		case <-a.e.ctx.Done():
			return a.end(r, reason)
		}
	}
}

// dead reports an attempt whose worker is dead, and ends what a native program
// may have left.
func (a *attempt) dead(r *remote, reason string) report {
	if a.group > 0 {
		_ = syscall.Kill(-a.group, syscall.SIGKILL)
		killStrays(a.dir)
	}
	a.used(r.spent - r.before)
	a.worker.set(occupied{})
	return report{Failure: reason, Touched: true}
}
