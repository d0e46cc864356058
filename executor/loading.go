package executor

import (
	"context"
	"errors"
	"sync"

	"github.com/urban-compute/ucp/job"
)

// maxKnown bounds how many modules we remember as compiled; beyond it we forget
// them all, which costs a little waiting and no more.
const maxKnown = 4096

// loading lets only one worker compile a module that is new here. The others
// wait, and then find it in the disk cache: twenty jobs with the same new module
// would otherwise compile it twenty times side by side.
type loading struct {
	mu    sync.Mutex
	known map[job.Digest]struct{}
	busy  map[job.Digest]chan struct{}
}

func newLoading() *loading {
	return &loading{known: map[job.Digest]struct{}{}, busy: map[job.Digest]chan struct{}{}}
}

// errWish says that the wait was broken off to look at something else.
var errWish = errors.New("woken")

// enter returns when the module is compiled, or when it is the caller's turn to
// have it compiled. leave must be called, any number of times; the first tells
// whether it was. While it waits, wake makes it return errWish.
func (l *loading) enter(ctx context.Context, d job.Digest, wake <-chan struct{}) (leave func(compiled bool), err error) {
	for {
		l.mu.Lock()
		_, known := l.known[d]
		other, busy := l.busy[d]
		if d == "" || known {
			l.mu.Unlock()
			return func(bool) {}, nil
		}
		if !busy {
			turn := make(chan struct{})
			l.busy[d] = turn
			l.mu.Unlock()
			var once sync.Once
			return func(compiled bool) { once.Do(func() { l.leave(d, turn, compiled) }) }, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-wake:
			return nil, errWish
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *loading) leave(d job.Digest, turn chan struct{}, compiled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, d)
	close(turn)
	if !compiled {
		return
	}
	if len(l.known) >= maxKnown {
		clear(l.known)
	}
	l.known[d] = struct{}{}
}
