package store

import (
	"errors"
	"syscall"
	"time"
)

// An open waits for a file descriptor, because connections and workers release theirs within seconds, and
// because a failure here ends the process. An open that fails for lack of a descriptor has changed nothing,
// so unlike a write or an fsync it may be retried.
const (
	scarceWait  = 30 * time.Second
	scarcePause = 10 * time.Millisecond
)

// retryWhileScarce calls open, and calls it again while it fails for lack of a file descriptor, for at most
// scarceWait.
func retryWhileScarce(open func() error) error {
	err := open()
	for end := time.Now().Add(scarceWait); scarce(err) && time.Now().Before(end); err = open() {
		time.Sleep(scarcePause)
	}
	return err
}

// scarce reports whether err means that there is no free file descriptor.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
