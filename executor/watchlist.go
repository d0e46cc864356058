package executor

import (
	"maps"
	"sync"
	"time"
)

// watchList is a set of attempts that are looked at again and again while there are any. Each comes with what is needed to
// look at it. Any goroutine may add and remove; one alone watches.
type watchList[T any] struct {
	mu       sync.Mutex
	attempts map[*attempt]T
	changed  chan struct{} // tells that one has come
}

func newWatchList[T any]() watchList[T] {
	return watchList[T]{attempts: map[*attempt]T{}, changed: make(chan struct{}, 1)}
}

func (l *watchList[T]) add(a *attempt, with T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[a] = with
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// remove takes an attempt off the list. A look that has begun may still look at it.
func (l *watchList[T]) remove(a *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.attempts, a)
}

func (l *watchList[T]) all() map[*attempt]T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.attempts)
}

// watch calls look with all that are on the list, in such intervals, until quit is closed. When there are none it is called
// once more, and then not until one comes.
func (l *watchList[T]) watch(quit <-chan struct{}, every time.Duration, look func(now time.Time, all map[*attempt]T)) {
	looks := time.NewTicker(every)
	looks.Stop()
	defer looks.Stop()
	for {
		select {
		case <-quit:
			return
		case <-l.changed:
			looks.Reset(every)
		case now := <-looks.C:
			all := l.all()
			if len(all) == 0 {
				looks.Stop()
			}
			look(now, all)
		}
	}
}
