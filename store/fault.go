package store

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// fault records the first failure of the disk and notifies the owner once. It is a latch: only a new process
// clears it.
//
// It has three phases. While the store is opening or closing, a failure is only recorded, because Open and
// Close return it. In between, after arm, the owner is notified.
type fault struct {
	first atomic.Pointer[error]

	mu      sync.Mutex
	notify  func(error)   // nil while the store is opening or closing
	held    chan struct{} // closed to release the callers of hold; nil when hold must not block
	stalled bool          // commits wait for a flush
}

// fail records err if it is the first failure. It may be called on any goroutine, also with locks of Pebble held.
func (f *fault) fail(err error) {
	if !f.first.CompareAndSwap(nil, &err) {
		return
	}
	f.mu.Lock()
	notify := f.notify
	f.mu.Unlock()
	if notify != nil {
		notify(err)
	}
}

// failed reports whether there was a failure. It is one atomic load, cheap enough for hot paths.
func (f *fault) failed() bool { return f.first.Load() != nil }

// cause returns the first failure, or nil.
func (f *fault) cause() error {
	if p := f.first.Load(); p != nil {
		return *p
	}
	return nil
}

// check returns nil, or the error for a write after a failure.
func (f *fault) check() error {
	if err := f.cause(); err != nil {
		return fmt.Errorf("%w: %w; end this process and start it again", errFailed, err)
	}
	return nil
}

// arm ends the opening phase: from now on, notify is called with the first failure. It returns the failure
// that happened before, if any.
func (f *fault) arm(notify func(error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.cause(); err != nil {
		return err
	}
	f.notify, f.held = notify, make(chan struct{})
	return nil
}

// disarm begins the closing phase and releases the callers of hold.
func (f *fault) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notify = nil
	f.release()
}

func (f *fault) release() {
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
}

// setStalled records whether commits wait for a flush. In a failed store they must not wait for the owner's
// Close, which may wait for them: the flush continues, and what it writes is discarded.
func (f *fault) setStalled(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stalled = on
	if on && f.failed() {
		f.release()
	}
}

// hold blocks while the store has failed but is not yet closing, and no commit waits for a flush.
func (f *fault) hold() {
	f.mu.Lock()
	if f.stalled {
		f.release()
	}
	held := f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
}
