package gossip

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// lifecycle is the order in which a Pool ends: requested (optional), left (optional), closing, down. Only the
// Pool itself leaves and shuts Serf down. That is why "serf leave" over RPC only requests it (rpc_filter.go):
// memberlist panics when Leave is called after Shutdown, and two independent callers could do that.
type lifecycle struct {
	requested   chan struct{} // closed: this node has been asked to end
	requestOnce sync.Once

	left      chan struct{} // closed: Leave has finished, leaveErr is set
	leaveOnce sync.Once
	leaveErr  error

	mu      sync.Mutex // guards closing
	closing bool       // Shutdown has begun

	down     chan struct{} // closed: Serf is down
	downOnce sync.Once
	downErr  error
}

func (l *lifecycle) init() {
	l.requested, l.left, l.down = make(chan struct{}), make(chan struct{}), make(chan struct{})
}

// request records that this node has been asked to end.
func (l *lifecycle) request() { l.requestOnce.Do(func() { close(l.requested) }) }

// begin runs f on a goroutine that work counts. After the shutdown has begun nothing new may start, and it
// returns false.
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

// Done is closed when this node was asked to leave through the RPC port ("serf leave"), or when Serf is down.
// The owner should treat it like SIGTERM: finish what must be finished, then call Leave and Shutdown. "serf
// leave" waits for that Leave, for at most two minutes.
func (p *Pool) Done() <-chan struct{} { return p.life.requested }

// Leave tells the cluster that this node is leaving, so that peers record it as left, not failed, and waits
// until that has spread: about one second, at most about 11. When ctx ends earlier, its error is returned,
// and the leave continues in the background until Shutdown. After Leave the node still gossips; only Shutdown
// ends it. A second call waits for the first.
func (p *Pool) Leave(ctx context.Context) error {
	p.life.leaveOnce.Do(func() {
		begun := p.life.begin(&p.work, func() {
			defer close(p.life.left)
			if err := p.agent.Leave(); err != nil {
				p.life.leaveErr = fmt.Errorf("gossip: leaving the cluster: %w", err)
			}
		})
		if !begun {
			p.life.leaveErr = errors.New("gossip: leaving the cluster: this node is already shutting down")
			close(p.life.left)
		}
	})
	select {
	case <-p.life.left:
		return p.life.leaveErr
	case <-ctx.Done():
		return fmt.Errorf("gossip: leaving the cluster: %w", ctx.Err())
	}
}

// Shutdown ends everything and waits for it. Without a Leave before, peers will record this node as failed.
// Shutdown waits for a Leave that is under way, for at most 11 seconds. Further calls wait for the first one
// and return the same error.
//
// The order is: new work is refused; streams are closed, which ends joins; a leave that is under way
// finishes; RPC clients get their last answers and are disconnected; Serf is shut down; our own goroutines
// end.
func (p *Pool) Shutdown() error {
	p.life.downOnce.Do(func() {
		p.life.close()
		p.cancel()
		p.logs.quiet.Store(true)
		p.wire.streams.close()
		p.life.leaveOnce.Do(func() { // Leave was not called, and must do nothing from now on
			p.life.leaveErr = errors.New("gossip: leaving the cluster: this node is already shut down")
			close(p.life.left)
		})
		<-p.life.left
		if p.rpc != nil {
			p.rpc.shutdown()
		}
		if err := p.agent.Shutdown(); err != nil {
			p.life.downErr = fmt.Errorf("gossip: shutting serf down: %w", err)
		}
		p.life.request() // so that Done is closed in any case
		close(p.life.down)
		p.work.Wait()
	})
	return p.life.downErr
}
