package gossip

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// lifecycle is the order in which a Pool ends: requested (maybe), left (maybe),
// closing, down. The Pool alone leaves and shuts Serf down. That is why "serf
// leave" over RPC only requests it (rpc_filter.go): memberlist panics when it is
// asked to leave after its shutdown, and two who end it would race for that.
type lifecycle struct {
	requested   chan struct{} // closed: someone wants this node to end
	requestOnce sync.Once

	left      chan struct{} // closed: Leave has come to its end, leaveErr is set
	leaveOnce sync.Once
	leaveErr  error

	mu      sync.Mutex // orders begin before closing
	closing bool       // Shutdown has begun

	down     chan struct{} // closed: Serf is down
	downOnce sync.Once
	downErr  error
}

func (l *lifecycle) init() {
	l.requested, l.left, l.down = make(chan struct{}), make(chan struct{}), make(chan struct{})
}

// request notes that someone wants this node to end.
func (l *lifecycle) request() { l.requestOnce.Do(func() { close(l.requested) }) }

// begin runs f on a goroutine of work, unless the shutdown has begun: then
// nothing new may start, and it returns false.
func (l *lifecycle) begin(work *sync.WaitGroup, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	work.Go(f)
	return true
}

// close makes every further begin return false.
func (l *lifecycle) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
}

// Done is closed when someone has asked this node to leave through the RPC port
// ("serf leave"), or when Serf is down. The owner treats it like SIGTERM: it
// finishes what it must, then calls Leave and Shutdown. "serf leave" waits for
// that Leave, at most two minutes.
func (p *Pool) Done() <-chan struct{} { return p.life.requested }

// Leave tells the pool that this node goes, so that peers record it as left, not failed,
// and waits until the news has spread: about a second, at most some 11. When ctx
// ends earlier its error is returned, and the leaving goes on behind until
// Shutdown. After Leave the node still gossips; only Shutdown ends it. A second
// call waits for the first.
func (p *Pool) Leave(ctx context.Context) error {
	p.life.leaveOnce.Do(func() {
		begun := p.life.begin(&p.work, func() {
			defer close(p.life.left)
			if err := p.agent.Leave(); err != nil {
				p.life.leaveErr = fmt.Errorf("gossip: leave the pool: %w", err)
			}
		})
		if !begun {
			p.life.leaveErr = errors.New("gossip: leave the pool: this node is shutting down already")
			close(p.life.left)
		}
	})
	select {
	case <-p.life.left:
		return p.life.leaveErr
	case <-ctx.Done():
		return fmt.Errorf("gossip: leave the pool: %w", ctx.Err())
	}
}

// Shutdown ends everything and waits for it. Without a Leave before, the others
// find this node failed. A Leave under way is waited for, at most 11 seconds.
// Further calls wait for the first and return the same.
//
// Order: new work is refused; streams close, which ends joins; a leave under way
// comes to its end; RPC clients get their last answers and are dropped; Serf goes
// down; at last our own goroutines.
func (p *Pool) Shutdown() error {
	p.life.downOnce.Do(func() {
		p.life.close()
		p.cancel()
		p.logs.quiet.Store(true)
		p.wire.streams.close()
		p.life.leaveOnce.Do(func() { // nobody has left, and nobody will
			p.life.leaveErr = errors.New("gossip: leave the pool: this node is shut down already")
			close(p.life.left)
		})
		<-p.life.left
		if p.rpc != nil {
			p.rpc.shutdown()
		}
		if err := p.agent.Shutdown(); err != nil {
			p.life.downErr = fmt.Errorf("gossip: shut serf down: %w", err)
		}
		p.life.request() // whoever waits on Done need not know who ended it
		close(p.life.down)
		p.work.Wait()
	})
	return p.life.downErr
}
