package executor

import (
	"errors"
	"syscall"
	"time"
)

// A job is suspended with SIGSTOP. For a wasm module the worker is stopped. For a native program the program
// and all processes that it has started are stopped; its worker keeps running, to keep the program's last
// output and to kill it when the broker dies. The job keeps its memory, files and devices.
//
// Suspend and Resume only record what is wanted. The attempt's own goroutine carries it out, step by step,
// and reports each step when it is done. PhaseSuspended and PhaseResumed therefore alternate, in whatever
// order the calls come.

const (
	// stopWait bounds the wait for processes to be stopped after a SIGSTOP. It takes about a millisecond;
	// longer only if the machine is so busy that the processes are not scheduled and so do not see the
	// signal.
	stopWait = 5 * time.Second
	stopPoll = time.Millisecond
)

// Suspend suspends an attempt, if it is here, and returns at once. The Update with PhaseSuspended is reported
// when none of its processes runs any more; its timeout is paused from the call on. An attempt that has not
// started yet is held back. A suspended attempt can be stopped, and may end (its worker may be killed, or it
// had already ended when it was suspended); then no PhaseResumed is reported.
//
// A Resume that follows at once may cancel a Suspend, so that neither is reported.
func (e *Executor) Suspend(key, attempt string) { e.want(key, attempt, true) }

// Resume continues a suspended attempt and returns at once; the Update with PhaseResumed is reported when it
// runs again. The clock that the job sees was not stopped meanwhile: a job that slept wakes at once if its
// time has come. A process that the job had itself stopped with SIGSTOP continues as well.
func (e *Executor) Resume(key, attempt string) { e.want(key, attempt, false) }

func (e *Executor) want(key, attempt string, suspended bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.tasks[taskID{key, attempt}]
	if a == nil {
		return
	}
	a.wantSuspended.Store(suspended)
	a.wakeUp()
}

// wakeUp has the attempt's goroutine look at what is wanted of it.
func (a *attempt) wakeUp() {
	select {
	case a.wake <- struct{}{}:
	default: // a signal is pending already; its reader will see the newest value
	}
}

// awaitTurn waits until the module may be loaded; see compileTurns.enter. A suspended attempt does not take
// its turn, so that others do not wait for it.
func (a *attempt) awaitTurn(o *order) (leave func(), err error) {
	size := sizeOf(o.Wasm)
	for {
		for a.wantSuspended.Load() {
			if !a.suspended.Load() {
				a.noteSuspended(true)
			}
			select {
			case <-a.wake:
			case <-a.ctx.Done():
				return nil, errStopped
			}
		}
		if a.suspended.Load() {
			a.noteSuspended(false)
		}
		leave, err = a.e.turns.enter(a.ctx, o.Module, size, a.wake)
		if !errors.Is(err, errWoken) {
			return leave, err
		}
	}
}

// stepTowardsWanted takes one step towards the wanted state of the attempt in this worker.
func (a *attempt) stepTowardsWanted(r *remote, clock *limits, leave func()) {
	on := a.wantSuspended.Load()
	if on == a.suspended.Load() || a.awaitsAnswer {
		return // nothing to do, or the worker's answer must come first
	}
	if on {
		leave() // another attempt that waits for this module compiles it itself
		clock.pause()
	}
	if r.native {
		if on {
			a.stopGroup(r)
		}
		a.awaitsAnswer = true
		_ = r.send(toWorker{Hold: &hold{Order: a.number, Suspend: on}}) // if the worker is dead, r.in is closed
		return
	}
	if r.setStopped(on) {
		a.noteSuspended(on)
		clock.run(!on)
	}
}

// stopGroup stops a native program's own process group, before its worker is asked to stop all of its
// processes. The worker has the low priority of a job, and may have to wait for a CPU if the job keeps all of
// them busy. If the group's leader is the worker's child, the group is the job's, and not a later one with
// the same number.
func (a *attempt) stopGroup(r *remote) {
	if r.apart { // its number is another one here
		for _, p := range treeOf(processes())[r.pid()] {
			_ = syscall.Kill(-p.pid, syscall.SIGSTOP) // who leads no group of that number has not got it
		}
		return
	}
	if p, ok := readProcess(a.group); ok && p.parent == r.pid() {
		_ = syscall.Kill(-a.group, syscall.SIGSTOP)
	}
}

// holdAnswered handles a worker's answer to a hold. A late answer belongs to the worker's previous job and is
// ignored.
func (a *attempt) holdAnswered(h *hold, r *remote, clock *limits, leave func()) {
	if h.Order != a.number || h.Copy {
		return
	}
	a.awaitsAnswer = false
	a.noteSuspended(h.Suspend)
	clock.run(!h.Suspend)
	a.stepTowardsWanted(r, clock, leave)
}

// noteSuspended records and reports that the attempt is suspended, or runs again.
func (a *attempt) noteSuspended(suspended bool) {
	a.suspended.Store(suspended)
	a.checkpoints.stands(suspended)
	phase := PhaseResumed
	if suspended {
		phase = PhaseSuspended
	}
	a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt, Phase: phase})
}

// setStopped stops a wasm worker with SIGSTOP, or continues it; false means that it is dead.
func (r *remote) setStopped(on bool) bool {
	if !on {
		return r.proc.Signal(syscall.SIGCONT) == nil
	}
	if r.proc.Signal(syscall.SIGSTOP) != nil {
		return false
	}
	awaitStopped(func() bool { return allThreadsStopped(r.pid()) })
	return true
}

// awaitStopped polls stopped until it returns true, for at most stopWait.
func awaitStopped(stopped func() bool) {
	for end := time.Now().Add(stopWait); !stopped() && time.Now().Before(end); {
		time.Sleep(stopPoll)
	}
}

// stopTree stops the process group atomically (the kernel sends the signal to a process that is being forked,
// too), and then all descendants of this process outside of the group, until none of them runs: a stopped
// process starts nothing new.
func stopTree(group int) {
	_ = syscall.Kill(-group, syscall.SIGSTOP)
	awaitStopped(func() bool {
		all := true
		for _, p := range ownDescendants() {
			if !p.stopped() {
				all = false
				_ = syscall.Kill(p.pid, syscall.SIGSTOP)
			}
		}
		return all
	})
}

// continueTree undoes stopTree.
func continueTree(group int) {
	_ = syscall.Kill(-group, syscall.SIGCONT)
	for _, p := range ownDescendants() {
		_ = syscall.Kill(p.pid, syscall.SIGCONT)
	}
}
