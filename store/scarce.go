package store

import (
	"errors"
	"syscall"
	"time"
)

// How long an open waits for a file descriptor: connections and workers give theirs
// back within seconds. Nothing was done when it fails for want of one, no write and no
// fsync, so that trying again tells no lie; whereas a failure here ends the process.
const (
	scarceWait  = 30 * time.Second
	scarcePause = 10 * time.Millisecond
)

// patiently opens something, and again while there is no descriptor for it.
func patiently(open func() error) error {
	err := open()
	for end := time.Now().Add(scarceWait); scarce(err) && time.Now().Before(end); err = open() {
		time.Sleep(scarcePause)
	}
	return err
}

func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
