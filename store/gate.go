package store

import "sync"

// gate lets calls in until it is closed, and lets Close wait for those inside.
// A plain RWMutex would deadlock when a call inside makes another call (Get from
// the function of a Scan) while Close waits between the two.
type gate struct {
	mu     sync.Mutex
	shut   bool
	inside sync.WaitGroup
}

// enter admits one call, which must leave again, or says ErrClosed.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return ErrClosed
	}
	g.inside.Add(1)
	return nil
}

func (g *gate) leave() { g.inside.Done() }

// close shuts the gate and waits until the last call has left. Only the first
// close returns true.
func (g *gate) close() bool {
	g.mu.Lock()
	first := !g.shut
	g.shut = true
	g.mu.Unlock()
	g.inside.Wait()
	return first
}
