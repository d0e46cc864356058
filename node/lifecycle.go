package node

import (
	"context"
	"fmt"
	"sync"

	"github.com/urban-compute/ucp/node/httpd"
)

// lifecycle is how far a node is: it works, begins to leave, ends. It owns the node's goroutines.
type lifecycle struct {
	ctx     context.Context // ends when the node does
	end     context.CancelCauseFunc
	leaving context.Context // ends when the node begins to leave: no request waits longer
	leave   context.CancelFunc
	work    sync.WaitGroup // all goroutines of Run
	joined  chan struct{}  // closed when /readyz may say yes
	ready   func()         // closes joined, once
	closed  sync.Once
}

func newLifecycle() *lifecycle {
	l := &lifecycle{joined: make(chan struct{})}
	l.ready = sync.OnceFunc(func() { close(l.joined) })
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.leaving, l.leave = context.WithCancel(l.ctx)
	return l
}

// run starts one of the node's goroutines. When it fails, the node ends.
func (l *lifecycle) run(what string, f func(context.Context) error) {
	l.work.Go(func() {
		if err := f(l.ctx); err != nil && l.ctx.Err() == nil {
			l.end(fmt.Errorf("%s: %w", what, err))
		}
	})
}

// fatal ends the node because its disk can't be trusted any more; nothing is retried.
func (l *lifecycle) fatal(err error) { l.end(fmt.Errorf("the disk failed: %w", err)) }

// stop ends the node.
func (l *lifecycle) stop() { l.end(httpd.ErrStopped) }
