package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/job"
)

// worker is the state of a worker process, which runs one order after another.
type worker struct {
	link    *link
	log     *slog.Logger
	grace   time.Duration
	modules *modules
	memory  guestMemory
	cold    bool          // the last order compiled a module
	limit   int64         // memory limit of the last order, in bytes
	stop    chan struct{} // tells that the broker wants the native program to end
	child   *childGroup
}

// RunWorker is the body of a worker process, the hidden `ucp worker` verb. It takes orders from in and
// answers on out until in ends, which means that the broker is dead, or SIGTERM arrives. Then it kills the
// native program that may be running, with all of the program's children, and returns. A wasm job may still
// be running, so the caller must exit at once. It logs to stderr.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	runtime.LockOSThread() // the parent-death signal is that of a thread
	defer runtime.UnlockOSThread()
	if apart() {
		if err := settleApart(); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
	}
	if err := dieWithParent(syscall.SIGKILL); err != nil {
		log.Warn("this worker may outlive its broker", "err", err)
	}
	if err := lowerPriority(); err != nil {
		log.Warn("cannot lower this worker's priority", "err", err)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()

	w := &worker{link: newLink(in, out), log: log, stop: make(chan struct{}, 1), child: newChildGroup()}
	defer w.child.kill()
	var first toWorker
	if err := w.link.read(&first); err != nil {
		return ended(err)
	}
	if first.Setup == nil {
		return errors.New("worker: the first message is not a setup; only a broker can start a worker")
	}
	if !apart() && !bornOf(first.Setup.Broker) { // nobody's parent is seen from another namespace
		return nil // it died before its death was a signal here, and nothing of its directory is ours any more
	}
	if err := forbidCores(); err != nil {
		log.Warn("a crash may leave the secrets of jobs in a core dump", "err", err)
	}
	if first.Setup.Native {
		if err := keepSecrets(); err != nil {
			log.Warn("native programs can read this worker", "err", err)
		}
		go w.child.reapOrphans()
		// A signal that can be handled: SIGKILL would leave the programs' children behind.
		if err := dieWithParent(syscall.SIGTERM); err != nil {
			log.Warn("this worker may outlive its broker", "err", err)
		}
	}
	if first.Setup.Idle {
		if err := idlePriority(); err != nil { // for good: who is not root can't raise it again
			log.Warn("cannot lower this worker's priority", "err", err)
		}
	}
	if first.Setup.Native {
		if err := killedFirst(os.Getpid()); err != nil {
			log.Warn("this worker is not ended first when memory runs out", "err", err)
		}
	}
	if first.Setup.Filtered { // before it hears of a module
		if err := filterModules(); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
	}
	w.grace = time.Duration(first.Setup.GraceMS) * time.Millisecond
	w.modules = newModules(first.Setup.CacheDir, log)

	makeThreads(spareThreads)
	orders, failed := make(chan *order), make(chan error, 2)
	go func() { failed <- w.listen(ctx, orders) }()
	go func() { failed <- w.work(context.WithoutCancel(ctx), orders) }()
	select {
	case err := <-failed:
		return ended(err)
	case <-ctx.Done():
		return nil
	}
}

const (
	// spareThreads are more than a worker needs: what it blocks in is few things at a time.
	spareThreads = 8
	// brokerThreads are more than a broker usually needs: it waits for its disk, above all. A process ends when it needs a
	// thread that it can't have.
	brokerThreads = 48
)

// makeThreads starts the threads that this process may need later, and leaves them idle. A thread needs a stack, and a job that has
// taken all of its memory must not make the worker die in the search for one: that looks as if the machine had no more
// threads, which is no fault of the job.
func makeThreads(n int) {
	var started, all sync.WaitGroup
	started.Add(n)
	for range n {
		all.Go(func() {
			runtime.LockOSThread() // a goroutine that keeps its thread while it waits
			defer runtime.UnlockOSThread()
			started.Done()
			started.Wait()
		})
	}
	all.Wait()
}

func ended(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("worker: %w", err)
}

// listen reads from the broker, also while an order runs: a stop must get through, and the end of the pipe
// means that the broker is dead. A stop that arrives before an order is meant for the previous one, which is
// over by then, and is dropped; a stop that arrives after the order counts, however early.
func (w *worker) listen(ctx context.Context, orders chan<- *order) error {
	for {
		var m toWorker
		if err := w.link.read(&m); err != nil {
			return err
		}
		if m.Stop {
			w.child.askToStop()
			select {
			case w.stop <- struct{}{}:
			default: // a stop is pending already
			}
		}
		if m.Ping {
			if err := w.link.write(fromWorker{Pong: true}); err != nil {
				return err
			}
		}
		if x := m.Explore; x != nil {
			a := explore(x.Dir, x.Hide, x.Users)
			if err := w.link.write(fromWorker{Abilities: &a}); err != nil {
				return err
			}
		}
		if m.Kill != 0 {
			w.child.killOrder(m.Kill)
		}
		if m.Ask != nil {
			w.child.signal(m.Ask)
		}
		if m.Hold != nil && w.child.hold(m.Hold) {
			if err := w.link.write(fromWorker{Held: m.Hold}); err != nil {
				return err
			}
		}
		if m.Run == nil {
			continue
		}
		w.child.begin(m.Run.Number)
		select {
		case <-w.stop:
		default:
		}
		select {
		case orders <- m.Run:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *worker) work(ctx context.Context, orders <-chan *order) error {
	var warm []job.Digest
	for o := range orders {
		r := w.run(ctx, o)
		if o.Driver == job.Wasm && w.cold {
			warm = w.modules.digests()
			r.Warm = warm
		}
		if err := w.link.write(fromWorker{Done: &r}); err != nil {
			return err
		}
		w.cold = false
		w.memory.wipe()
	}
	return nil
}

// limitMemory limits the memory of this process, if the limit differs from that of the last order.
func (w *worker) limitMemory(o *order) {
	if o.Memory == w.limit && !w.modules.cold(o.Module) {
		return
	}
	w.limit = o.Memory
	limitOwnMemory(o)
}

// limitCompiler lets this process use no more cores than the job has asked for, rounded up, while it gets a module ready:
// compiling makes garbage, which is collected beside it. A smaller share than a core is a matter of priority, as it is
// when the job runs. It returns how to undo that.
func (w *worker) limitCompiler(o *order) (undo func()) {
	if !w.modules.cold(o.Module) {
		return func() {}
	}
	most := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(min(max(int((o.CPU+999)/1000), 1), most))
	return func() { runtime.GOMAXPROCS(most) }
}

// runIdle compiles a module when the machine has nothing else to do. This worker has the lowest priority, and is of no use for
// jobs.
func (w *worker) runIdle(ctx context.Context, o *order) report {
	defer w.limitCompiler(o)()
	_, _, err := w.modules.get(ctx, o.Module, o.Wasm)
	if err == nil {
		return report{}
	}
	var io *os.PathError
	return report{Failure: err.Error(), Returned: errors.As(err, &io) || isOurs(err)}
}

// run carries out one order and closes its files. Whatever goes wrong is in the report.
func (w *worker) run(ctx context.Context, o *order) report {
	dir := newScratch(o.Dir)
	if o.Again || o.Restore != "" {
		dir.goOn()
	}
	w.limitMemory(o)
	var r report
	if o.Idle {
		return w.runIdle(ctx, o)
	}
	switch o.Driver {
	case job.Wasm:
		r = w.runWasm(ctx, o, dir, func(m *loadedModule) error { return w.link.write(fromWorker{Loaded: true, Code: m.shared}) })
	case job.Process:
		r = w.runProcess(o, dir)
	default:
		r = report{Failure: fmt.Sprintf("this worker has no driver %q", o.Driver), Permanent: true}
	}
	if err := dir.close(); err != nil && !r.Returned && !r.Stopped { // the program may have ended with an error because of it
		r.Failure, r.Returned, r.Permanent = err.Error(), true, false
	}
	r.Touched = dir.touched
	r.CPU = selfCPU()
	return r
}
