package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/urban-compute/ucp/cgroup"
	"github.com/urban-compute/ucp/job"
)

// Executor runs the attempts that the broker core starts. Make one with New. All its methods may be called
// from any goroutine.
type Executor struct {
	cfg      Config
	launcher *launcher
	pool     *pool
	load     time.Duration // loadTimeout, but for tests
	turns    *compileTurns
	cache    *moduleCache
	idle     *idleCompiler
	account  *account
	bounds   *bounds
	disk     *diskWatch
	nest     cgroup.Nest // where the control groups of native programs are made
	cleaner  *cleaner
	home     os.FileInfo // the directory where jobs run, as it was made

	// How native programs are confined (build).
	sandbox   Sandbox
	abilities abilities
	apart     bool // workers for native programs have namespaces of their own

	// How workers of modules are confined (buildFence).
	around   Sandbox
	fence    *fence // nil is not at all
	filtered bool

	users *jobUsers

	ctx     context.Context // ended by Close
	cancel  context.CancelFunc
	closing sync.Once
	// The goroutines by kind, in the order in which Close waits for them: the former start some of the latter.
	attempts, helpers, workers sync.WaitGroup

	mu     sync.Mutex
	closed bool
	tasks  map[taskID]*attempt
	next   uint64        // names the attempts' directories
	spent  time.Duration // CPU time of the attempts that have ended
	shown  time.Duration // the highest CPU time that Usage has returned
}

type taskID struct{ key, attempt string }

// New makes an Executor: it kills the native programs of an earlier broker that still run from Config.Dir,
// clears that directory, and starts the spare workers. It fails when the config is invalid or a directory
// cannot be cleared or made. Call Close to release its processes.
func New(c Config) (*Executor, error) {
	cfg, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	killStrays(cfg.Dir)
	if err := removeTree(cfg.Dir); err != nil {
		return nil, fmt.Errorf("executor: clearing %s, left by an earlier run: %w", cfg.Dir, err)
	}
	for _, dir := range []string{cfg.Dir, cfg.CacheDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("executor: making %s: %w", dir, err)
		}
	}
	makeThreads(brokerThreads)
	var nest cgroup.Nest
	if cfg.AllowProcess {
		nest = newNest(cfg.Dir)
		if err := keepSecrets(); err != nil {
			cfg.Logger.Warn("native programs can read this process", "err", err)
		}
	}
	e := &Executor{cfg: cfg, load: loadTimeout, launcher: newLauncher(cfg.Logger, cfg.Spawner), bounds: newBounds(), disk: newDiskWatch(cfg.Dir, cfg.DiskReserve), nest: nest, cleaner: newCleaner(cfg.Logger), tasks: map[taskID]*attempt{}}
	if e.home, err = os.Stat(cfg.Dir); err != nil {
		return nil, fmt.Errorf("executor: looking at %s: %w", cfg.Dir, err)
	}
	room := int64(0)
	if cfg.Memory > 0 {
		room = cfg.Memory + max(cfg.ModuleMemory, 0)
	}
	e.account = newAccount(room)
	e.pool = newPool(e)
	e.cache = &moduleCache{
		dir: entriesDir(cfg.CacheDir), most: cfg.ModuleCache, tell: cfg.Compiled, held: map[job.Digest]int{},
		inUse: e.account.hasCode, endIdle: e.pool.endIdle,
	}
	if err := e.cache.load(cfg.CacheDir); err != nil {
		cfg.Logger.Warn("cannot read which modules are compiled; they are compiled again", "dir", cfg.CacheDir, "err", err)
	}
	e.disk.giveWay = e.cache.giveWay
	e.turns = newCompileTurns(e.account.free, e.cache.has)
	e.idle = newIdleCompiler(e)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if cfg.AdoptOrphans {
		if err := adoptOrphans(); err != nil {
			cfg.Logger.Warn("what a killed worker leaves behind is not adopted", "err", err)
		}
		e.helpers.Go(func() { e.launcher.reapOrphans(e.ctx.Done()) })
	}
	e.helpers.Go(func() { e.pool.janitor(e.ctx.Done()) })
	if cfg.AllowProcess {
		e.helpers.Go(func() { e.bounds.watch(e.ctx.Done()) })
	}
	e.helpers.Go(func() { e.idle.run(e.ctx.Done()) })
	e.helpers.Go(func() { e.account.watch(e.ctx.Done()) })
	e.helpers.Go(func() { e.disk.watch(e.ctx.Done()) })
	if err := errors.Join(e.buildFence(), e.build()); err != nil {
		_ = e.Close()
		return nil, err
	}
	e.pool.refill()
	return e, nil
}

// Start begins an attempt and returns at once; its progress is reported through Config.Report. The caller
// decides how many attempts run at a time. A Start of an attempt that is already here, or after Close, is
// ignored.
func (e *Executor) Start(t Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := taskID{t.Key, t.Attempt}
	if _, here := e.tasks[id]; here || e.closed {
		return
	}
	e.next++
	a := &attempt{e: e, task: t, wake: make(chan struct{}, 1), over: make(chan struct{}), number: e.next, dir: filepath.Join(e.cfg.Dir, strconv.FormatUint(e.next, 10))}
	a.checkpoints = newCheckpointer(&a.task)
	a.ctx, a.cancel = context.WithCancelCause(e.ctx)
	e.tasks[id] = a
	e.idle.noteJob()
	e.attempts.Go(a.run)
}

// Stop ends an attempt, if it is here, and returns at once. A wasm module is killed: there is no gentler way
// to end one. A native program gets SIGTERM (and SIGCONT, without which a suspended program could not see
// it), and SIGKILL after Config.Grace. Callers may rely on this: each started attempt, stopped or not, ends
// with exactly one Update that has a Result, and when that Update is reported nothing of the attempt is left.
// The Update has Stopped set, unless the job had ended by itself before.
func (e *Executor) Stop(key, attempt string) { e.stop(key, attempt, errStopped) }

// StopAndKeep is Stop, except that what the program has written so far is kept, and the Update's Result names it. Before that, an
// Update with PhaseGone says that nothing runs any more.
func (e *Executor) StopAndKeep(key, attempt string) { e.stop(key, attempt, errKept) }

func (e *Executor) stop(key, attempt string, why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.tasks[taskID{key, attempt}]; a != nil {
		a.cancel(why)
	}
}

var (
	errStopped = errors.New(job.StoppedReason)
	errKept    = fmt.Errorf("%w, and what it has written is kept", errStopped)
)

// Close kills every running attempt, waits for all child processes and goroutines, and removes the running
// jobs' directories. No Update is reported for an attempt that Close ended. A second Close waits for the
// first. The error is always nil.
func (e *Executor) Close() error {
	e.closing.Do(func() {
		e.mu.Lock()
		e.closed = true
		e.mu.Unlock()
		e.cancel()
		e.attempts.Wait()
		e.pool.close()
		e.helpers.Wait()
		e.workers.Wait()
		e.cleaner.close()
		e.launcher.close()
	})
	return nil
}

// forget drops an attempt that has ended. An attempt with the same name may start again afterwards.
func (e *Executor) forget(a *attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.tasks, taskID{a.task.Key, a.task.Attempt})
	e.idle.noteJob()
	e.spent += time.Duration(a.cpu.Load())
}

// report passes an update on, unless Close has begun.
func (e *Executor) report(u Update) {
	if e.ctx.Err() == nil {
		e.cfg.Report(u)
	}
}
