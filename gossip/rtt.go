package gossip

import "time"

// RTT estimates the round-trip time to the named node from both nodes' network coordinates (Vivaldi; Dabek et
// al., SIGCOMM 2004), without contacting it. It returns false for a node that this node has not probed yet,
// which takes some seconds after a join, or longer in a large cluster. The round-trip time of a node to
// itself is 0.
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
	// DistanceTo panics on incompatible coordinates, and these come from peers.
	if !ok || !own.IsCompatibleWith(other) {
		return 0, false
	}
	return own.DistanceTo(other), true
}
