package executor

import (
	"os"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// Before its first instruction a wasm job waits until its module is ready: for its turn to compile it, and while it is
// compiled or read. That is told when it takes longer than loadShown (rule J14), and the job's timeout counts from when a
// worker has been given the job: a wait for the turn is not the job's fault.

// loadShown is how long a module is not ready before that is told.
const loadShown = job.StartShown

// sizeOf is the size of a module's file, in bytes; 0 if there is none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// loadNotice tells once that the module of an attempt is not ready, if that takes long, and once that it is, or that a native
// program has begun.
type loadNotice struct {
	timer *time.Timer // nil for a native program
	tell  func(Phase)

	mu   sync.Mutex
	over bool
}

// newLoadNotice begins to wait; tell must not call back.
func newLoadNotice(driver job.Driver, tell func(Phase)) *loadNotice {
	n := &loadNotice{tell: tell}
	if driver == job.Wasm {
		n.timer = time.AfterFunc(loadShown, n.late)
	}
	return n
}

func (n *loadNotice) late() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.over {
		n.tell(PhaseLoading)
	}
}

// end says that the program begins, or that the attempt is over. When it has returned nothing more is told.
func (n *loadNotice) end(ready bool) {
	if n.timer != nil {
		n.timer.Stop()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.over && ready {
		n.tell(PhaseLoaded)
	}
	n.over = true
}

// limits are what an attempt in a worker may take: for its program and what goes before it, by its spec, and for the latter
// alone, by us.
type limits struct {
	own     *countdown // the job's timeout
	load    *countdown // stopped when the module is ready
	loading bool
}

// dayLong stands for no timeout.
const dayLong = 24 * time.Hour

func newLimits(timeout, load time.Duration, loading bool) *limits {
	if timeout <= 0 {
		timeout = dayLong
	}
	l := &limits{own: newCountdown(timeout), load: newCountdown(load), loading: loading}
	if !loading {
		l.load.pause()
	}
	return l
}

// ready says that the module is.
func (l *limits) ready() {
	l.loading = false
	l.load.pause()
}

// pause and run stop and continue what counts, while the attempt is suspended.
func (l *limits) pause() {
	l.own.pause()
	l.load.pause()
}

func (l *limits) run(on bool) {
	l.own.run(on)
	l.load.run(on && l.loading)
}

func (l *limits) stop() {
	l.own.timer.Stop()
	l.load.timer.Stop()
}

// timedOut is the report of an attempt that has taken as long as its spec allows.
func (l *limits) timedOut(timeout time.Duration) report {
	if l.loading {
		return report{Failure: job.LoadTimeoutReason(timeout)}
	}
	return report{Failure: job.TimeoutReason(timeout)}
}
