package executor

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// The machine may run out of file descriptors, processes or memory for a moment. That is not the job's fault
// and must not become its result. They become free again when other jobs and connections end, so the attempt
// waits.
const (
	scarceWait  = 20 * time.Second      // how long an attempt retries before it is returned
	scarceFirst = 50 * time.Millisecond // the first pause between two tries; it doubles
	scarceMost  = time.Second           // the longest pause
)

// scarce reports whether err means that the machine has run out of something for the moment.
func scarce(err error) bool {
	return isOneOf(err, []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM})
}

// checkDescriptors returns an error when so few file descriptors are left that a worker must not take them:
// the store in the same process needs some, and a store that cannot open its next log ends the process. Where
// the limit is high nothing is counted.
func checkDescriptors() error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur > countBelow {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // they cannot be counted on this system
	}
	if reserve := max(leastReserve, files.Cur/8); uint64(len(open))+reserve > files.Cur {
		return fmt.Errorf("%d of %d file descriptors are open, and %d are reserved for the store: %w", len(open), files.Cur, reserve, syscall.EMFILE)
	}
	return nil
}

const (
	countBelow   = 4096 // descriptors are counted only if the limit is at most this
	leastReserve = 16   // descriptors
)

// retryWhileScarce calls do, and calls it again while it fails because the machine has run out of something,
// until done is closed or scarceWait has passed.
func (a *attempt) retryWhileScarce(done <-chan struct{}, do func() error) error {
	err := do()
	if !scarce(err) {
		return err
	}
	a.e.cfg.Logger.Warn("this machine has run out of what a job needs; the job waits", "job", string(a.task.ID), "err", err)
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
