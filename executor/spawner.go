package executor

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
)

var errClosed = errors.New("the executor is closed")

// spawner starts all processes from one thread that lives as long as the executor: Linux delivers the
// parent-death signal when the parent's *thread* ends, and Go may end a thread at any time
// (golang.org/issue/27505).
type spawner struct {
	calls chan func()
	quit  chan struct{}
	done  sync.WaitGroup

	children map[int]*exec.Cmd // processes that were started and not yet waited for, by PID; used by that thread alone
}

func newSpawner() *spawner {
	s := &spawner{calls: make(chan func()), quit: make(chan struct{}), children: map[int]*exec.Cmd{}}
	s.done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // all children are dead by then
		for {
			select {
			case f := <-s.calls:
				f()
			case <-s.quit:
				return
			}
		}
	})
	return s
}

// do runs f on the spawner's thread and waits for it.
func (s *spawner) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case s.calls <- func() { result <- f() }:
		return <-result
	case <-s.quit:
		return errClosed
	}
}

// close ends the thread. Every child must be dead by then.
func (s *spawner) close() {
	close(s.quit)
	s.done.Wait()
}
