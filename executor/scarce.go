package executor

import (
	"errors"
	"fmt"
	"os"
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

// headroom is an error when so few file descriptors are left that a worker must not take
// them: the store beside it would be the next to find none, and a store that can't open its
// next log ends the process. Where descriptors are many nobody counts.
func headroom() error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur > countBelow {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // not here: then what is left will show
	}
	if reserve := max(leastReserve, files.Cur/8); uint64(len(open))+reserve > files.Cur {
		return fmt.Errorf("%d of %d file descriptors are open, and %d are the store's: %w", len(open), files.Cur, reserve, syscall.EMFILE)
	}
	return nil
}

const (
	countBelow   = 4096
	leastReserve = 16
)

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
