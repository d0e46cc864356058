package executor

import (
	"errors"
	"syscall"
	"time"
)

// What the machine may lack for a moment: file descriptors, processes, memory. That is
// no fault of the job, and must not become its result. Descriptors come back when
// other jobs and connections end, so the attempt waits.
const (
	scarceWait  = time.Minute // then it fails, and says for want of what
	scarceFirst = 50 * time.Millisecond
	scarceMost  = time.Second
)

func scarce(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// patiently does what may fail for want of something, again and again while that is
// so, until done ends or scarceWait is over.
func (a *attempt) patiently(done <-chan struct{}, do func() error) error {
	err := do()
	if !scarce(err) {
		return err
	}
	a.e.cfg.Logger.Warn("a job waits until this machine has what it lacks", "job", string(a.task.ID), "err", err)
	end := time.Now().Add(scarceWait)
	for wait := scarceFirst; scarce(err) && time.Now().Before(end); wait = min(2*wait, scarceMost) {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-done:
			timer.Stop()
			return err
		}
		err = do()
	}
	return err
}
