package store

import "sync"

// gate lets calls in until it is closed, and lets Close wait for the calls inside. An RWMutex would deadlock
// when a call inside makes another call (such as Get in the function of a Scan) while Close waits.
type gate struct {
	mu     sync.Mutex
	shut   bool
	inside sync.WaitGroup
}

// enter lets one call in, which must call leave at its end, or returns ErrClosed.
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

// close closes the gate and waits until the last call has left. Only the first close returns true.
func (g *gate) close() bool {
	g.mu.Lock()
	first := !g.shut
	g.shut = true
	g.mu.Unlock()
	g.inside.Wait()
	return first
}
