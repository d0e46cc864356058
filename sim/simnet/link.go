package simnet

import "time"

// link is one direction between two hosts; the other direction is another link.
type link struct{ from, to *Host }

// Cut cuts the network between two hosts in both directions: packets are lost,
// streams stall, and dials wait.
func (n *Network) Cut(a, b *Host) { n.cutLinks(link{a, b}, link{b, a}) }

// CutOneWay cuts the network from one host to another; the other direction still works.
func (n *Network) CutOneWay(from, to *Host) { n.cutLinks(link{from, to}) }

// Partition splits the network: only hosts in the same group can reach each other.
// It replaces all earlier cuts. A host in no group is cut off from all others.
func (n *Network) Partition(groups ...[]*Host) {
	side := map[*Host]int{}
	for i, group := range groups {
		for _, h := range group {
			side[h] = i + 1
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	for _, a := range n.hosts {
		for _, b := range n.hosts {
			if a != b && (side[a] != side[b] || side[a] == 0) {
				n.cut[link{a, b}] = true
			}
		}
	}
	n.wakeLocked()
}

// HealAll undoes all cuts.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.wakeLocked()
}

func (n *Network) cutLinks(links ...link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range links {
		if l.from != l.to {
			n.cut[l] = true
		}
	}
	n.wakeLocked()
}

// wakeLocked lets dials and streams check their links again.
func (n *Network) wakeLocked() {
	n.changed.Broadcast()
	for s := range n.streams {
		s.wake.Broadcast()
	}
}

// openLocked reports whether bytes from one host can reach another.
func (n *Network) openLocked(from, to *Host) bool {
	return !n.closed && from.up && to.up && !n.cut[link{from, to}]
}

// latency returns how long a stream's bytes take in one direction.
func (n *Network) latency(from, to *Host) time.Duration {
	if from == to {
		return 0
	}
	return n.opt.Latency
}

// packetFateLocked draws whether a packet is lost and, if not, how long it takes.
func (n *Network) packetFateLocked(from, to *Host) (delay time.Duration, lost bool) {
	if from == to {
		return 0, false
	}
	delay = n.opt.Latency
	if n.opt.Loss > 0 && n.random.Float64() < n.opt.Loss {
		return 0, true
	}
	if n.opt.Jitter > 0 {
		delay += time.Duration(n.random.Int64N(int64(n.opt.Jitter) + 1))
	}
	return delay, false
}
