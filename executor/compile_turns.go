package executor

import (
	"context"
	"errors"
	"sync"

	"github.com/urban-compute/ucp/job"
)

// maxKnown bounds how many modules are remembered as compiled. Beyond it all are forgotten, which costs nothing
// but some waiting.
const maxKnown = 4096

// compilerMemory is how many times its size the memory is that compiling a module takes: 17 to 27 were measured, of modules of
// 5 to 49 MB (docs/performance.md); the largest of those with few, large functions.
const compilerMemory = 28

// compileTurns lets only one worker at a time compile a module that is new to this broker, since what that takes is
// many times the module, and no job has asked for it; and others beside it only where the running jobs leave enough memory
// for all of them. Others with the same module wait in any case, and then find it in the disk cache.
type compileTurns struct {
	free    func() int64 // bytes of memory that the running jobs leave
	mu      sync.Mutex
	known   map[job.Digest]struct{}
	busy    map[job.Digest]struct{}
	taken   int64         // bytes of memory that compiling takes now
	changed chan struct{} // closed, and replaced, when somebody has compiled
	idle    func()        // ends what is compiled although no job waits for it; nil while that is nothing
}

func newCompileTurns(free func() int64) *compileTurns {
	return &compileTurns{free: free, known: map[job.Digest]struct{}{}, busy: map[job.Digest]struct{}{}, changed: make(chan struct{})}
}

// errWoken says that the wait was interrupted through the wake channel.
var errWoken = errors.New("woken")

// enter returns when the module is compiled, or when it is the caller's turn to compile it, for which it takes a module of the
// given size. The caller must call leave at least once; only the first call counts, and says whether the module was
// compiled. While enter waits, a value on wake makes it return errWoken.
func (l *compileTurns) enter(ctx context.Context, d job.Digest, size int64, wake <-chan struct{}) (leave func(compiled bool), err error) {
	memory := size * compilerMemory
	for {
		l.mu.Lock()
		_, known := l.known[d]
		if d == "" || known {
			l.mu.Unlock()
			return func(bool) {}, nil
		}
		if _, busy := l.busy[d]; !busy && (len(l.busy) == 0 || l.taken+memory <= l.free()) {
			l.busy[d] = struct{}{}
			l.taken += memory
			l.mu.Unlock()
			var once sync.Once
			return func(compiled bool) { once.Do(func() { l.leave(d, memory, compiled) }) }, nil
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
func (l *compileTurns) tryIdle(d job.Digest, size int64, yield func()) (leave func(compiled bool), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.known[d]; known || len(l.busy) > 0 {
		return nil, false
	}
	memory := size * compilerMemory
	l.busy[d] = struct{}{}
	l.taken += memory
	l.idle = yield
	return func(compiled bool) {
		l.mu.Lock()
		l.idle = nil
		l.mu.Unlock()
		l.leave(d, memory, compiled)
	}, true
}

// know notes that a module is compiled.
func (l *compileTurns) know(d job.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[d] = struct{}{}
}

func (l *compileTurns) leave(d job.Digest, memory int64, compiled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, d)
	l.taken -= memory
	close(l.changed)
	l.changed = make(chan struct{})
	if !compiled {
		return
	}
	if len(l.known) >= maxKnown {
		clear(l.known)
	}
	l.known[d] = struct{}{}
}
