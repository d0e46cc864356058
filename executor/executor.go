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
)

// Executor runs the attempts that the broker core starts. All its methods may be
// called from any goroutine.
type Executor struct {
	cfg     Config
	spawner *spawner
	pool    *pool
	loading *loading
	cleaner *cleaner

	ctx     context.Context // ended by Close
	cancel  context.CancelFunc
	closing sync.Once
	// Goroutines by kind, in the order in which Close waits for them.
	attempts, workers, helpers sync.WaitGroup

	mu     sync.Mutex
	closed bool
	tasks  map[taskID]*attempt
	next   uint64        // names the attempts' directories
	spent  time.Duration // CPU, by attempts that have ended
	shown  time.Duration // CPU, the most that Usage has told
}

type taskID struct{ key, attempt string }

// New makes an Executor: it clears Config.Dir, kills what native programs of an
// earlier broker may still run from there, and starts the spare workers.
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
	e := &Executor{cfg: cfg, spawner: newSpawner(), loading: newLoading(), cleaner: newCleaner(cfg.Logger), tasks: map[taskID]*attempt{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.pool = newPool(e)
	e.helpers.Go(func() { e.pool.janitor(e.ctx.Done()) })
	e.pool.refill()
	return e, nil
}

// Start begins an attempt and returns at once; how it goes comes through
// Config.Report. How many run side by side is the caller's business. An attempt
// that is here already, or a Start after Close, is ignored.
func (e *Executor) Start(t Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := taskID{t.Key, t.Attempt}
	if _, here := e.tasks[id]; here || e.closed {
		return
	}
	e.next++
	a := &attempt{e: e, task: t, wish: make(chan struct{}, 1), number: e.next, dir: filepath.Join(e.cfg.Dir, strconv.FormatUint(e.next, 10))}
	a.ctx, a.cancel = context.WithCancelCause(e.ctx)
	e.tasks[id] = a
	e.attempts.Go(a.run)
}

// Stop ends an attempt, if it is here, and returns at once. A wasm module is
// killed: closing it is all that can be done to it. A native program gets SIGTERM
// (and SIGCONT, if it is suspended, without which it could not see it), and SIGKILL
// after Config.Grace. The rule to rely on: each started attempt ends with exactly one Update that has a
// Result, also when it is stopped, and when that Update comes nothing of the
// attempt is left. It has Stopped set, unless the job was faster.
func (e *Executor) Stop(key, attempt string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.tasks[taskID{key, attempt}]; a != nil {
		a.cancel(errStopped)
	}
}

var errStopped = errors.New("stopped")

// Close kills all that runs, waits for every child and goroutine, and removes
// the running jobs' directories. No Update is reported for an attempt that Close
// ended. A second Close waits as well.
func (e *Executor) Close() error {
	e.closing.Do(func() {
		e.mu.Lock()
		e.closed = true
		e.mu.Unlock()
		e.cancel()
		e.attempts.Wait()
		e.pool.close()
		e.workers.Wait()
		e.helpers.Wait()
		e.cleaner.close()
		e.spawner.close()
	})
	return nil
}

// forget drops an attempt that has ended; a new one of the same name may start.
func (e *Executor) forget(a *attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.tasks, taskID{a.task.Key, a.task.Attempt})
	e.spent += time.Duration(a.cpu.Load())
}

// report passes an update on, unless Close has begun.
func (e *Executor) report(u Update) {
	if e.ctx.Err() == nil {
		e.cfg.Report(u)
	}
}
