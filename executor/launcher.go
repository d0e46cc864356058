package executor

import (
	"errors"
	"log/slog"
	"os"
	"runtime"
	"sync"
)

var errClosed = errors.New("the executor is closed")

// role is a process to start: this program, as something else than a broker.
type role struct {
	args  []string
	files []*os.File // its descriptors 0, 1 and 2
	apart bool       // in namespaces of its own
	fence *fence     // behind which it is; nil is none
}

// launcher starts processes and waits for those that nobody else waits for. It does both on one thread, one thing at a
// time, so that no process is waited for before it is known who waits for it. The thread lives as long as the executor:
// Linux delivers the parent-death signal when the parent's *thread* ends, and Go may end a thread at any time
// (golang.org/issue/27505).
type launcher struct {
	log   *slog.Logger
	args  []string // the arguments with which this program becomes a spawner
	calls chan func()
	quit  chan struct{}
	done  sync.WaitGroup

	// That thread alone uses these.
	children map[int]*os.Process // what was started and is not yet waited for, by PID
	spawners spawners
}

func newLauncher(log *slog.Logger, args []string) *launcher {
	l := &launcher{log: log, args: args, calls: make(chan func()), quit: make(chan struct{}), children: map[int]*os.Process{}, spawners: newSpawners()}
	l.done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // all children are dead by then
		for {
			select {
			case f := <-l.calls:
				f()
			case <-l.quit:
				return
			}
		}
	})
	_ = l.do(func() {
		if err := l.haveSpawner(); err != nil {
			log.Error("the process that starts workers can't be started; it is tried again with the first worker", "err", err)
		}
	})
	return l
}

// do has f called on the launcher's thread. It does not wait until f returns.
func (l *launcher) do(f func()) error {
	select {
	case l.calls <- f:
		return nil
	case <-l.quit:
		return errClosed
	}
}

// start starts a process, whose end the caller waits for and then tells to waited.
func (l *launcher) start(r role) (*os.Process, error) {
	type started struct {
		proc *os.Process
		err  error
	}
	result := make(chan started, 1)
	if err := l.do(func() {
		proc, err := l.launch(r)
		if err == nil {
			l.children[proc.Pid] = proc
		}
		result <- started{proc, err}
		if err == nil {
			l.haveSpare()
		}
	}); err != nil {
		return nil, err
	}
	s := <-result
	return s.proc, s.err
}

// waited says that a process has ended and was waited for: its PID may belong to another one by now.
func (l *launcher) waited(proc *os.Process) {
	_ = l.do(func() { l.gone(proc) })
}

// gone is waited on the launcher's thread.
func (l *launcher) gone(proc *os.Process) {
	if l.children[proc.Pid] == proc {
		delete(l.children, proc.Pid)
	}
}

// close ends the spawners and the thread. Every other child must be dead by then.
func (l *launcher) close() {
	l.endSpawners()
	close(l.quit)
	l.done.Wait()
}
