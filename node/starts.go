package node

import (
	"fmt"
	"sync"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
)

// starts are the actors of this broker in this process, the present one last: it may begin another start while it
// runs (rules K2, K3).
type starts struct {
	mu      sync.Mutex
	list    []clock.Actor
	telling sync.Mutex // the tags are changed by one at a time
}

func (s *starts) begin(a clock.Actor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, a)
}

// actor is the present start.
func (s *starts) actor() clock.Actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[len(s.list)-1]
}

// process is the start with which the process began.
func (s *starts) process() clock.Actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[0]
}

// renew makes the start that the core asks for. It is on the disk before anything is written as it; the others hear of it
// when the core writes as it.
func (n *Node) renew(m broker.Mint) {
	old := n.starts.actor()
	actor, err := n.store.Renew(m.Above, n.cfg.Now(), n.cfg.Random)
	if err != nil {
		n.log.Error("another start of this broker could not be stored", "why", m.Why, "error", err)
		n.engine.Tell(broker.Minted{})
		return
	}
	n.starts.begin(actor)
	n.log.Warn("this broker goes on as another start", "why", m.Why, "actor", string(actor), "before", string(old))
	n.engine.Tell(broker.Minted{Actor: actor})
	if pool := n.members.pool.Load(); pool != nil {
		if err := n.tell(pool, n.life.leaving.Err() != nil); err != nil {
			n.log.Warn("telling the others of this broker's new start", "error", err)
		}
	}
}

// tell tells of this broker through Serf.
func (n *Node) tell(pool *gossip.Pool, draining bool) error {
	n.starts.telling.Lock()
	defer n.starts.telling.Unlock()
	if err := pool.SetTags(n.tags(draining)); err != nil {
		return fmt.Errorf("tags: %w", err)
	}
	return nil
}
