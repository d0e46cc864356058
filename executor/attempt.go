package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/cgroup"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/module"
)

// Limits of the waits for our own worker processes.
const (
	// loadTimeout bounds how long a worker takes to get the module of a job ready, beside the job's own timeout.
	loadTimeout = 5 * time.Minute
	// killDelay is the time beyond the grace period that a worker gets to kill its program and report it,
	// before the worker itself is killed.
	killDelay = 3 * time.Second
)

// attempt is one task under way. One goroutine runs it from start to end.
type attempt struct {
	e           *Executor
	task        Task
	number      uint64          // unique in this executor
	dir         string          // see scratch
	ctx         context.Context // ended by Stop (errStopped) or Close
	cancel      context.CancelCauseFunc
	begun       time.Time
	begunAgain  time.Time     // when its program was last started
	checkpoints *checkpointer // nil if it takes none
	stopped     bool          // it was ended by Stop or Close, rather than by itself
	began       bool          // its program may have run

	over     chan struct{} // closed when nothing of it runs any more
	returned bool          // this broker could not carry it out
	groups   cgroup.Set    // of its native program
	user     int           // that its native program is; 0 is the broker's
	given    given         // its inputs

	// What Suspend and Resume asked for last, and a signal that it has changed.
	wantSuspended atomic.Bool
	wake          chan struct{}
	notice        *loadNotice
	suspended     atomic.Bool // as last reported
	awaitsAnswer  bool        // the worker has yet to answer a hold

	roomUntil time.Time // when it has waited long enough for memory

	beyond atomic.Pointer[excess] // why it must end: what it takes is more than it may, or than there is

	// Usage reads these from other goroutines.
	worker workerSlot
	group  int          // process group of the native program; 0 until it is known
	cpu    atomic.Int64 // CPU time in nanoseconds: the highest value measured so far
	// earlier is the part of cpu that its program had used before it was last started again for a checkpoint.
	earlier atomic.Int64
}

// workerSlot holds which worker process an attempt runs in, if any.
type workerSlot struct {
	mu  sync.Mutex
	use workerUse
}

type workerUse struct {
	pid    int // 0 is none
	native bool
	before time.Duration // CPU time that the worker had used for earlier attempts
}

func (p *workerSlot) set(o workerUse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.use = o
}

func (p *workerSlot) get() (workerUse, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.use, p.use.pid != 0
}

func (a *attempt) run() {
	defer a.cancel(nil)
	a.notice = newLoadNotice(a.task.Spec.Driver, func(p Phase) {
		a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt, Phase: p})
	})
	res := a.execute()
	close(a.over)
	a.notice.end(false)
	a.e.forget(a)
	a.e.report(Update{
		Key: a.task.Key, Attempt: a.task.Attempt, Result: &res, Stopped: a.stopped, Returned: a.returned && !a.stopped, Began: a.began,
		CPU: time.Duration(a.cpu.Load()),
	})
}

// execute runs the attempt to its end and returns its result.
func (a *attempt) execute() job.Result {
	a.begun = time.Now()
	var o *order
	if err := a.retryWhileScarce(a.ctx.Done(), func() (err error) { o, err = a.order(); return err }); err != nil {
		if errors.As(err, new(unusable)) || errors.Is(err, ErrBadSecret) {
			return a.unheld(report{Failure: err.Error(), Permanent: true})
		}
		return a.unheld(report{Failure: err.Error(), Permanent: errors.Is(err, errForbidden) || errors.As(err, new(module.NotAllowed)), Returned: true})
	}
	defer a.e.cache.hold(o.Module)()
	if o.Driver == job.Process && a.e.abilities.Users {
		a.user = a.e.users.take()
		defer a.e.users.give(a.user)
	}
	for {
		rep, ended := a.runProgram(o)
		if ended != nil {
			if o.Again {
				a.clean(true)
			}
			return *ended
		}
		next, rep := a.goesOn(o, rep)
		if next == nil {
			defer a.clean(rep.Touched || o.Again)
			return a.result(rep)
		}
		o = next
	}
}

// runProgram runs the program once, and returns the report of its end, or the attempt's result if it could not be begun.
func (a *attempt) runProgram(o *order) (report, *job.Result) {
	if o.Driver == job.Process {
		a.groups = a.e.nest.Make(strconv.FormatUint(a.number, 10), boundsOf(a.task.Spec.Resources))
		o.Groups = a.groups
		o.Jail = a.jailOf()
	}
	r, leave, err := a.begin(o)
	if err != nil {
		_ = a.groups.End() // nothing is in it
		a.stopped = errors.Is(err, errStopped)
		var memory tooLittle
		res := a.unheld(report{Failure: err.Error(), Returned: !a.stopped, Permanent: errors.As(err, &memory) && memory.ever})
		return report{}, &res
	}
	defer leave()
	a.e.disk.add(a, o, r.pid())
	rep := a.watch(r, o, leave)
	a.e.disk.remove(a)
	a.awaitsAnswer = false
	if err := a.groups.End(); err != nil {
		a.e.cfg.Logger.Warn("a control group of a job that has ended stays", "job", string(a.task.ID), "err", err)
	}
	return rep, nil
}

var errForbidden = errors.New("not allowed")

// order translates the task for a worker. It fails when a blob is missing.
func (a *attempt) order() (*order, error) {
	s := &a.task.Spec
	o := &order{
		Number: a.number, Driver: s.Driver, Name: s.Command, Args: s.Args, Env: envOf(&a.task), Dir: a.dir,
		Dirs: s.Dirs, Module: s.Module, Memory: s.Resources.Memory, Disk: s.DiskLimit(), CPU: s.Resources.CPU, NeedDir: len(s.Outputs) > 0 || s.Checkpoint != nil,
	}
	a.given = given{}
	if s.Driver == job.Process && !a.e.cfg.AllowProcess {
		return nil, fmt.Errorf("native programs are %w on this broker; its agent needs --allow-process", errForbidden)
	}
	if err := a.e.checkNetwork(s); err != nil {
		return nil, err
	}
	if s.Driver == job.Wasm {
		if err := a.e.cfg.AllowModule(s.Module); err != nil {
			return nil, err
		}
	}
	switch {
	case s.Driver == job.Wasm && s.Name != "":
		o.Name = s.Name
	case o.Name == "":
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
	if err == nil {
		err = a.measureInputs(o)
	}
	if err == nil {
		err = a.restore(o)
	}
	if err == nil && len(s.Secrets) > 0 {
		err = a.addSecrets(o)
	}
	return o, err
}

// addSecrets adds the job's secrets to its environment and its files. Variables are nowhere on the disk.
func (a *attempt) addSecrets(o *order) error {
	secrets, err := a.e.cfg.Secrets(a.ctx, a.task.Key, &a.task.Spec)
	if err != nil {
		return fmt.Errorf("the job's secrets: %w", err)
	}
	o.Secrets = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if path, file := job.SecretFile(name); file {
			o.Secrets[path] = secrets[name]
			a.given.names++
			a.given.bytes += wholeBlocks(int64(len(secrets[name])))
		} else {
			o.Env = append(o.Env, name+"="+secrets[name])
		}
	}
	return nil
}

// envOf returns the job's environment, followed by the variables that every job gets unless it asked for none. The
// last value of a name wins, so a job cannot forge its fencing token.
func envOf(t *Task) []string {
	env := make([]string, 0, len(t.Spec.Env)+2)
	for _, k := range slices.Sorted(maps.Keys(t.Spec.Env)) {
		env = append(env, k+"="+t.Spec.Env[k])
	}
	if t.Spec.PlainEnv {
		return env
	}
	if t.Trace != "" {
		env = append(env, "TRACEPARENT="+t.Trace)
	}
	return append(env, "UCP_ATTEMPT="+t.Attempt, "UCP_JOB_ID="+string(t.ID))
}

// begin has a worker begin the order, once it is the attempt's turn and there is room for it.
func (a *attempt) begin(o *order) (r *remote, leave func(), err error) {
	for {
		if leave, err = a.awaitTurn(o); err != nil {
			return nil, nil, errStopped
		}
		if r, err = a.handOver(o); err == nil {
			return r, leave, nil
		}
		leave()
		if !errors.Is(err, errWoken) {
			return nil, nil, err
		}
	}
}

// handOver gives the order to a worker and reports that the attempt has started. Only now is it noticed that
// a worker died while it was idle; nothing had begun in it, so another worker is tried.
func (a *attempt) handOver(o *order) (*remote, error) {
	for try := 0; ; try++ {
		if a.ctx.Err() != nil {
			return nil, errStopped
		}
		var r *remote
		err := a.retryWhileScarce(a.ctx.Done(), func() (err error) {
			if o.Driver == job.Process {
				err = checkProcesses()
			}
			if err == nil {
				r, err = a.e.pool.acquire(o.Driver == job.Process, o.Module)
			}
			return err
		})
		if a.ctx.Err() != nil && err != nil {
			return nil, errStopped
		}
		if err != nil {
			return nil, err
		}
		if err = a.room(r, o); err != nil {
			return nil, err
		}
		a.e.turns.charged(o.Module)
		a.worker.set(workerUse{r.pid(), r.native, r.before})
		if err = r.send(toWorker{Run: o}); err == nil {
			a.begunAgain = time.Now()
			if !o.Again {
				a.begun = a.begunAgain
				a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt})
			}
			a.e.idle.makeRoom()
			return r, nil
		}
		a.e.account.remove(a)
		r.kill()
		if try == 3 {
			return nil, fmt.Errorf("giving the job to a worker: %w", err)
		}
	}
}

// watch waits for the worker's report, enforces the timeout and a stop, and returns the worker to the pool or
// kills it.
func (a *attempt) watch(r *remote, o *order, leave func()) report {
	limit := time.Duration(a.task.Spec.Timeout)
	_, warm := r.warm[o.Module]
	a.began = warm || o.Again
	clock := newLimits(a.timeLeft(limit), a.e.load, !warm && o.Driver == job.Wasm)
	defer clock.stop()
	if !clock.loading {
		if o.Driver == job.Wasm {
			a.notice.end(true)
		}
		a.e.cache.used(o.Module)
		a.checkpoints.starts()
	}
	defer a.e.bounds.remove(a)
	looks, stop := a.checkpoints.ticks()
	defer stop()
	for {
		select {
		case m, ok := <-r.in:
			if end := a.heard(m, ok, r, o, clock, leave); end != nil {
				return *end
			}
		case <-looks:
			if m, ok := a.lookAtCheckpoint(r, clock); m != nil || !ok {
				if end := a.heard(*m, ok, r, o, clock, leave); end != nil {
					return *end
				}
			}
		case <-a.wake:
			if beyond := a.beyond.Load(); beyond != nil {
				if !r.native {
					return a.end(r, beyond.report())
				}
				_ = r.send(toWorker{Kill: a.number}) // if the worker is dead, r.in is closed
			}
			a.stepTowardsWanted(r, clock, leave)
		case <-clock.load.timer.C:
			return a.end(r, returned(fmt.Sprintf("the job was not ready to run after %v", a.e.load)))
		case <-clock.own.timer.C:
			if limit > 0 {
				return a.end(r, clock.timedOut(limit))
			}
		case <-a.ctx.Done():
			a.stopped = true
			return a.end(r, report{Failure: errStopped.Error()})
		}
	}
}

// timeLeft is what is left of the attempt's timeout: a program that is started again after a checkpoint has no other one.
func (a *attempt) timeLeft(limit time.Duration) time.Duration {
	if limit <= 0 || a.checkpoints == nil {
		return limit
	}
	return max(limit-(a.checkpoints.ran()-a.checkpoints.base), time.Millisecond)
}

// heard takes in what the worker says, or with ok false that it is dead, and returns how the attempt ended, if it has.
func (a *attempt) heard(m fromWorker, ok bool, r *remote, o *order, clock *limits, leave func()) *report {
	switch {
	case !ok:
		rep := a.workerDied(r, r.death.report(a.began))
		return &rep
	case m.Loaded:
		leave()
		a.nowLoaded(r, o, m.Code)
		a.began = true
		clock.ready()
		a.notice.end(true)
		a.e.cache.used(o.Module)
		a.checkpoints.starts()
	case m.Group != 0:
		a.group, a.began = m.Group, true
		a.notice.end(true)
		a.e.bounds.add(a, watched{r.pid(), a.groups})
		if a.beyond.Load() != nil { // it was told before there was anything to kill
			_ = r.send(toWorker{Kill: a.number})
		}
	case m.Held != nil:
		a.holdAnswered(m.Held, r, clock, leave)
	case m.Done != nil:
		a.giveBack(r, m.Done)
		if beyond := a.beyond.Load(); beyond != nil && m.Done.Code != nil && *m.Done.Code == 128+int(syscall.SIGKILL) {
			m.Done.Failure, m.Done.Returned = beyond.reason, beyond.returned
		}
		return m.Done
	}
	return nil
}

func (a *attempt) giveBack(r *remote, done *report) {
	if !r.native && a.suspended.Load() {
		r.setStopped(false) // its job had ended before the SIGSTOP; let the worker run the next one
	}
	if done.Warm != nil {
		clear(r.warm)
		for _, d := range done.Warm {
			r.warm[d] = struct{}{}
		}
		maps.DeleteFunc(r.code, func(d job.Digest, _ int64) bool { _, here := r.warm[d]; return !here })
	}
	a.noteCPU(done.CPU - r.before)
	a.worker.set(workerUse{})
	a.e.account.remove(a)
	r.before = done.CPU
	a.group = 0
	if done.Returned { // the next one starts behind a fence around what is there now
		r.kill()
		a.e.pool.refill()
		return
	}
	a.e.pool.release(r)
}

// end stops the job in the worker. A wasm module can only be ended by killing its worker. A native program is
// asked to stop first, and its exit code still counts; when the executor closes, it is killed at once.
//
// A job that had ended by itself before the stop keeps its result: this process may itself have been paused,
// and then sees the result and the order to stop at the same moment. Such a result is recorded, if only as
// one that came too late (rule J1).
func (a *attempt) end(r *remote, otherwise report) report {
	if a.e.ctx.Err() != nil {
		r.end(killDelay)
		for range r.in { // until the worker is dead
		}
		return a.workerDied(r, otherwise)
	}
	if !r.native {
		done, loaded := r.killAndReport()
		a.began = a.began || loaded
		if done != nil {
			a.workerDied(r, otherwise)
			a.stopped = false
			return *done
		}
		return a.workerDied(r, otherwise)
	}
	_ = r.send(toWorker{Stop: true})
	late := time.AfterFunc(a.e.cfg.Grace+killDelay, r.kill)
	defer late.Stop()
	for {
		select {
		case m, ok := <-r.in:
			switch {
			case !ok:
				return a.workerDied(r, otherwise)
			case m.Group != 0:
				a.group, a.began = m.Group, true
			case m.Done != nil:
				a.giveBack(r, m.Done)
				if m.Done.Stopped {
					m.Done.Failure = otherwise.Failure
				} else {
					a.stopped = false
				}
				return *m.Done
			}
		case <-a.e.ctx.Done():
			return a.end(r, otherwise)
		}
	}
}

// workerDied reports an attempt whose worker is dead, and kills what a native program may have left behind.
func (a *attempt) workerDied(r *remote, rep report) report {
	if a.group > 0 {
		if !r.apart { // a namespace ends with its first process
			_ = syscall.Kill(-a.group, syscall.SIGKILL)
		}
		killStrays(a.dir)
	}
	a.noteCPU(r.spent - r.before)
	a.worker.set(workerUse{})
	a.e.account.remove(a)
	rep.Began, rep.Touched = a.began, true
	return rep
}
