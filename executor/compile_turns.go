package executor

import (
	"context"
	"errors"
	"sync"

	"github.com/urban-compute/ucp/job"
)

// compilerMemory is how many times its size the memory is that compiling a module takes: 17 to 27 were measured, of modules of
// 5 to 49 MB (docs/performance.md); the largest of those with few, large functions.
const compilerMemory = 28

// compileTurns lets only one worker at a time compile a module that is new to this broker, since what that takes is
// many times the module, and no job has asked for it; and others beside it only where the running jobs leave enough memory
// for all of them. Others with the same module wait in any case, and then find it in the disk cache.
type compileTurns struct {
	free    func() int64          // bytes of memory that the running jobs leave
	known   func(job.Digest) bool // it is compiled
	mu      sync.Mutex
	busy    map[job.Digest]int64 // bytes of memory that compiling takes and that are not charged to an attempt yet
	changed chan struct{}        // closed, and replaced, when somebody has compiled
	idle    func()               // ends what is compiled although no job waits for it; nil while that is nothing
}

func newCompileTurns(free func() int64, known func(job.Digest) bool) *compileTurns {
	return &compileTurns{free: free, known: known, busy: map[job.Digest]int64{}, changed: make(chan struct{})}
}

// errWoken says that the wait was interrupted through the wake channel.
var errWoken = errors.New("woken")

// enter returns when the module is compiled, or when it is the caller's turn to compile it, for which it takes a module of the
// given size. The caller must call leave at least once; only the first call counts. While enter waits, a value on wake makes it
// return errWoken.
func (l *compileTurns) enter(ctx context.Context, d job.Digest, size int64, wake <-chan struct{}) (leave func(), err error) {
	memory := size * compilerMemory
	for {
		l.mu.Lock()
		if d == "" || l.known(d) {
			l.mu.Unlock()
			return func() {}, nil
		}
		if _, busy := l.busy[d]; !busy && (len(l.busy) == 0 || l.uncharged()+memory <= l.free()) {
			l.busy[d] = memory
			l.mu.Unlock()
			return sync.OnceFunc(func() { l.leave(d) }), nil
		}
		changed := l.changed
		if l.idle != nil {
			l.idle()
		}
		l.mu.Unlock()
		select {
		case <-changed:
		case <-wake:
			return nil, errWoken
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// tryIdle takes the turn to compile a module for which no job waits: only while nobody else compiles, and until a job wants the
// turn; then yield is called, which must not wait.
func (l *compileTurns) tryIdle(d job.Digest, size int64, yield func()) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known(d) || len(l.busy) > 0 {
		return nil, false
	}
	l.busy[d] = size * compilerMemory
	l.idle = yield
	return func() {
		l.mu.Lock()
		l.idle = nil
		l.mu.Unlock()
		l.leave(d)
	}, true
}

// charged says that whoever has the turn to compile a module, if anybody does, is charged the memory for it from now on, so that free
// counts it.
func (l *compileTurns) charged(d job.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, busy := l.busy[d]; busy {
		l.busy[d] = 0
	}
}

// uncharged returns the memory of turns that free does not count yet; the caller holds l.mu.
func (l *compileTurns) uncharged() (sum int64) {
	for _, memory := range l.busy {
		sum += memory
	}
	return sum
}

func (l *compileTurns) leave(d job.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, d)
	close(l.changed)
	l.changed = make(chan struct{})
}
