package executor

import "runtime"

// onLostThread calls f on a thread that then ends, as one that can't be used any more, and returns its error.
func onLostThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never lets go: the thread ends with this goroutine
		done <- f()
	}()
	return <-done
}
