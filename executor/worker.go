package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/job"
)

// worker is the inside of a worker process: it runs one order after another.
type worker struct {
	link    *link
	log     *slog.Logger
	grace   time.Duration
	modules *modules
	memory  guestMemory
	cold    bool          // the last order compiled a module
	limit   int64         // bytes, of the last order
	stop    chan struct{} // the broker wants the native program to end
	child   *childGroup
}

// RunWorker is the body of a worker process, the hidden `ucp worker` verb: it
// takes orders from in and answers on out until in ends, which means that the
// broker is gone, or SIGTERM comes. Then it kills the native program that it may
// be running, with all of that program's children, and returns. A wasm job may
// still be running, so the caller must end the process at once. What it has to
// say, it logs to stderr.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := humble(); err != nil {
		log.Warn("this worker runs at full priority", "err", err)
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
	w.grace = time.Duration(first.Setup.GraceMS) * time.Millisecond
	var err error
	if w.modules, err = newModules(context.WithoutCancel(ctx), first.Setup.CacheDir, log); err != nil {
		return fmt.Errorf("worker: %w", err)
	}

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

func ended(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("worker: %w", err)
}

// listen reads from the broker, also while an order runs: a stop must get
// through, and the end of the pipe is the death of the broker. What comes before
// an order is meant for the one before, which is over by then, and is forgotten;
// what comes after it counts, however early.
func (w *worker) listen(ctx context.Context, orders chan<- *order) error {
	for {
		var m toWorker
		if err := w.link.read(&m); err != nil {
			return err
		}
		if m.Stop {
			w.child.ask()
			select {
			case w.stop <- struct{}{}:
			default: // one is waiting already
			}
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
		w.memory.wipe()
		if w.cold {
			w.cold = false
			debug.FreeOSMemory() // a compiler leaves a lot behind
		}
	}
	return nil
}

// limitMemory bounds this process, when the bound differs from the last one.
func (w *worker) limitMemory(o *order) {
	if o.Memory == w.limit && !w.modules.cold(o.Module) {
		return
	}
	w.limit = o.Memory
	limitOwnMemory(o)
}

// run carries one order out and closes its files; whatever goes wrong is in the
// report.
func (w *worker) run(ctx context.Context, o *order) report {
	dir := newScratch(o.Dir)
	w.limitMemory(o)
	var r report
	switch o.Driver {
	case job.Wasm:
		r = w.runWasm(ctx, o, dir, func() error { return w.link.write(fromWorker{Loaded: true}) })
	case job.Process:
		r = w.runProcess(o, dir)
	default:
		r = report{Failure: fmt.Sprintf("this worker has no driver %q", o.Driver), Permanent: true}
	}
	if err := dir.close(); err != nil && r.Failure == "" {
		r.Failure = err.Error()
	}
	r.Touched = dir.touched
	r.CPU = selfCPU()
	return r
}
