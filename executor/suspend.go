package executor

import (
	"errors"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/job"
)

// A suspended job stands still: SIGSTOP, of the worker for a wasm module, of the
// program and everything that it has started for a native one, whose worker goes
// on, to keep the program's last output and to kill it when the broker dies. The
// job's memory, files and devices stay its own.
//
// Suspend and Resume only say what is wanted; the attempt's own goroutine makes
// it so, step by step, and reports each step once it is done. So whatever comes
// in whatever order, Suspended and Resumed alternate.

// stillWait bounds the wait for stopped processes to stand still. It takes about a
// millisecond, and longer only where the machine is so busy that they don't get
// their turn, in which they would see the signal.
const (
	stillWait  = time.Second
	stillPause = time.Millisecond
)

// Suspend makes an attempt stand still, if it is here, and returns at once. The
// Update with PhaseSuspended comes when none of its processes runs any more; its
// timeout stands still from the call on. One that has not begun yet is held back.
// A suspended attempt can be stopped, and may end (its worker may be killed, or it
// had ended already when it was suspended): then there is no PhaseResumed.
//
// A Resume that follows at once may cancel a Suspend, which then leaves no trace.
func (e *Executor) Suspend(key, attempt string) { e.want(key, attempt, true) }

// Resume lets a suspended attempt go on, and returns at once; the Update with
// PhaseResumed comes when it does. The job's own clock has gone on meanwhile: a
// job that slept wakes at once if its time has come. A process that the job had
// itself stopped with SIGSTOP goes on as well.
func (e *Executor) Resume(key, attempt string) { e.want(key, attempt, false) }

func (e *Executor) want(key, attempt string, still bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.tasks[taskID{key, attempt}]
	if a == nil {
		return
	}
	a.wanted.Store(still)
	select {
	case a.wish <- struct{}{}:
	default: // one is waiting, and will read the newest
	}
}

// awaitTurn waits until the module may be loaded; see loading.enter. A suspended
// attempt does not take its turn, so that others do not wait for it.
func (a *attempt) awaitTurn(module job.Digest) (leave func(bool), err error) {
	for {
		for a.wanted.Load() {
			if !a.still.Load() {
				a.settle(true)
			}
			select {
			case <-a.wish:
			case <-a.ctx.Done():
				return nil, errStopped
			}
		}
		if a.still.Load() {
			a.settle(false)
		}
		leave, err = a.e.loading.enter(a.ctx, module, a.wish)
		if !errors.Is(err, errWish) {
			return leave, err
		}
	}
}

// follow takes one step towards what is wanted of the attempt in this worker.
func (a *attempt) follow(r *remote, clock *countdown, leave func(bool)) {
	on := a.wanted.Load()
	if on == a.still.Load() || a.asked {
		return // there already; or its answer comes first
	}
	if on {
		leave(false) // whoever waits for us to compile the module compiles it himself
		clock.pause()
	}
	if r.native {
		if on {
			a.stopGroup(r)
		}
		a.asked = true
		_ = r.send(toWorker{Hold: &hold{Order: a.number, Still: on}}) // if it is dead, r.in tells
		return
	}
	if r.stand(on) {
		a.settle(on)
		clock.run(!on)
	}
}

// stopGroup stops a native program's own group before its worker is asked to stop
// all. The worker has a job's low priority, and where the job keeps all CPUs busy
// it may take a while to get its turn. That the group's leader is the worker's
// child proves the group to be the job's, not another that got its number.
func (a *attempt) stopGroup(r *remote) {
	if p, ok := readProcess(a.group); ok && p.parent == r.pid() {
		_ = syscall.Kill(-a.group, syscall.SIGSTOP)
	}
}

// held takes a worker's answer to a hold. One that is late belongs to the
// worker's last job.
func (a *attempt) held(h *hold, r *remote, clock *countdown, leave func(bool)) {
	if h.Order != a.number {
		return
	}
	a.asked = false
	a.settle(h.Still)
	clock.run(!h.Still)
	a.follow(r, clock, leave)
}

// settle notes and reports that the attempt stands still, or goes on.
func (a *attempt) settle(still bool) {
	a.still.Store(still)
	phase := PhaseResumed
	if still {
		phase = PhaseSuspended
	}
	a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt, Phase: phase})
}

// stand stops a wasm worker, or lets it go on; false means that it is dead.
func (r *remote) stand(still bool) bool {
	if !still {
		return r.cmd.Process.Signal(syscall.SIGCONT) == nil
	}
	if r.cmd.Process.Signal(syscall.SIGSTOP) != nil {
		return false
	}
	awaitStill(func() bool { return standsStill(r.pid()) })
	return true
}

// awaitStill asks until the answer is yes, for at most stillWait.
func awaitStill(still func() bool) {
	for end := time.Now().Add(stillWait); !still() && time.Now().Before(end); {
		time.Sleep(stillPause)
	}
}

// stopTree stops the process group, at once and atomically (the kernel lets no
// fork slip through), and then all that this process's children have put outside
// of it, until nothing runs: what is stopped starts nothing new.
func stopTree(group int) {
	_ = syscall.Kill(-group, syscall.SIGSTOP)
	awaitStill(func() bool {
		still := true
		for _, p := range ownDescendants() {
			if !p.still() {
				still = false
				_ = syscall.Kill(p.pid, syscall.SIGSTOP)
			}
		}
		return still
	})
}

// continueTree undoes stopTree.
func continueTree(group int) {
	_ = syscall.Kill(-group, syscall.SIGCONT)
	for _, p := range ownDescendants() {
		_ = syscall.Kill(p.pid, syscall.SIGCONT)
	}
}
