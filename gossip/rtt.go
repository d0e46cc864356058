package gossip

import "time"

// RTT estimates the round-trip time to the named node from both nodes' network
// coordinates (Vivaldi; Dabek et al., SIGCOMM 2004), without asking it. It is
// false for a node that this one has not probed yet: for some seconds after a
// join, or longer in a large pool. To itself a node has 0.
func (p *Pool) RTT(name string) (time.Duration, bool) {
	if name == p.cfg.Name {
		return 0, true
	}
	s := p.agent.Serf()
	own, err := s.GetCoordinate()
	if err != nil {
		return 0, false
	}
	other, ok := s.GetCachedCoordinate(name)
	// DistanceTo panics on coordinates of unlike form, which come from peers.
	if !ok || !own.IsCompatibleWith(other) {
		return 0, false
	}
	return own.DistanceTo(other), true
}
