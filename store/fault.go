package store

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// fault remembers the first failure of the disk and tells the owner of it, once.
// It is a latch: nothing takes a failure back but a new process.
//
// Its three phases follow those of the store. While opening and while closing, a
// failure is only kept, because Open and Close return it. In between, after arm,
// it goes to the owner.
type fault struct {
	first atomic.Pointer[error]

	mu      sync.Mutex
	tell    func(error)   // nil while opening and closing
	held    chan struct{} // not nil while armed and nobody must be let go
	stalled bool          // commits wait for a flush
}

// fail records err if it is the first failure. It may be called on any goroutine,
// with locks of Pebble held.
func (f *fault) fail(err error) {
	if !f.first.CompareAndSwap(nil, &err) {
		return
	}
	f.mu.Lock()
	tell := f.tell
	f.mu.Unlock()
	if tell != nil {
		tell(err)
	}
}

// failed reports whether there was a failure: one atomic load, for hot paths.
func (f *fault) failed() bool { return f.first.Load() != nil }

// cause returns the first failure, or nil.
func (f *fault) cause() error {
	if p := f.first.Load(); p != nil {
		return *p
	}
	return nil
}

// check returns nil, or the error for a write that comes after a failure.
func (f *fault) check() error {
	if err := f.cause(); err != nil {
		return fmt.Errorf("%w: %w; end this process and start it again", ErrFailed, err)
	}
	return nil
}

// arm ends the opening phase: from now on tell hears of the first failure. It
// returns the failure that was met before, if any.
func (f *fault) arm(tell func(error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.cause(); err != nil {
		return err
	}
	f.tell, f.held = tell, make(chan struct{})
	return nil
}

// disarm begins the closing phase and frees what hold holds.
func (f *fault) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell = nil
	f.letGo()
}

func (f *fault) letGo() {
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
}

// stall says whether commits wait for a flush. In a failed store they must not wait
// for the owner's Close, which may wait for them: the flush goes on, into nowhere.
func (f *fault) stall(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stalled = on
	if on && f.failed() {
		f.letGo()
	}
}

// hold blocks while the store is failed but not yet closing, and no commit waits.
func (f *fault) hold() {
	f.mu.Lock()
	if f.stalled {
		f.letGo()
	}
	held := f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
}
