package rig

import (
	"sync"
	"time"
)

// lives is when a broker was up.
type lives struct {
	mu    sync.Mutex
	spans []span
}

// span is a time of being up; a zero end is now.
type span struct{ from, to time.Time }

func (l *lives) begin(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.spans); n == 0 || !l.spans[n-1].to.IsZero() {
		l.spans = append(l.spans, span{from: at})
	}
}

func (l *lives) end(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.spans); n > 0 && l.spans[n-1].to.IsZero() {
		l.spans[n-1].to = at
	}
}

func (l *lives) since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.spans); n > 0 && l.spans[n-1].to.IsZero() {
		return l.spans[n-1].from
	}
	return time.Time{}
}

func (l *lives) all(from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.spans {
		if !s.from.After(from) && (s.to.IsZero() || !s.to.Before(to)) {
			return true
		}
	}
	return false
}
