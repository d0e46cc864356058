package simnet

import "time"

// link is the way from one host to another; the way back is another link.
type link struct{ from, to *Host }

// Cut silences the network between two hosts, both ways: packets are lost,
// streams stand still, dials wait.
func (n *Network) Cut(a, b *Host) { n.setCut(true, link{a, b}, link{b, a}) }

// CutOneWay silences the network from one host to another; the way back works.
func (n *Network) CutOneWay(from, to *Host) { n.setCut(true, link{from, to}) }

// Heal undoes Cut and CutOneWay between two hosts.
func (n *Network) Heal(a, b *Host) { n.setCut(false, link{a, b}, link{b, a}) }

// Partition splits the network: hosts in different groups cannot hear each other,
// hosts in one group can. It replaces all cuts before. A host in no group is cut
// off from all others.
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

func (n *Network) setCut(cut bool, links ...link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range links {
		if cut && l.from != l.to {
			n.cut[l] = true
		} else {
			delete(n.cut, l)
		}
	}
	n.wakeLocked()
}

// wakeLocked lets dials and streams look at their links again.
func (n *Network) wakeLocked() {
	n.changed.Broadcast()
	for s := range n.streams {
		s.wake.Broadcast()
	}
}

// openLocked reports whether bytes get from one host to another.
func (n *Network) openLocked(from, to *Host) bool {
	return !n.closed && from.up && to.up && !n.cut[link{from, to}]
}

// latency returns how long a stream's bytes take.
func (n *Network) latency(from, to *Host) time.Duration {
	if from == to {
		return 0
	}
	return n.opt.Latency
}

// packetFateLocked draws whether a packet is lost, and else how long it takes.
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
