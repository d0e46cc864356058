// Package simnet is a network in memory, for tests: hosts, packets, streams, partitions and
// crashes. It exists because the faults that matter (splits, crashes, lost packets, minutes
// of silence) can neither be had from real networks on demand nor be waited for. It is made
// for testing/synctest, whose virtual time makes an hour cost nothing.
package simnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Ports of every simulated host.
const (
	GossipPort = 7946
	HTTPPort   = 8000
)

// Options say how a simulated network behaves. The zero value is a perfect
// network but for its speed: see Latency.
type Options struct {
	// Seed seeds what is random: loss and jitter. The same seed gives the same
	// sequence of draws; which packet gets which draw depends on the scheduler.
	Seed uint64
	// Latency is how long bytes take one way; 0 is 1 ms. Between a host and
	// itself they take none.
	Latency time.Duration
	// Jitter is added to Latency for packets, uniformly from 0 to Jitter. Packets
	// overtake each other then; streams stay in order and do not jitter.
	Jitter time.Duration
	// Loss is the share of packets that get lost, from 0 to 1. Streams lose
	// nothing, as TCP would repeat it.
	Loss float64
}

// Network is a network in memory: hosts with packets, streams and partitions. It
// starts no goroutine, sleeps only on timers and blocks only on channels and
// condition variables, so that it works inside a testing/synctest bubble, where
// its time is virtual. Make it inside the bubble. All its methods may be called
// from any goroutine.
//
// It is kinder than a real network in one way (a stream that was cut goes on at
// once when the link heals, as after a lucky retransmission) and as unkind in the
// others: a cut or crashed peer is silent, not "refused".
type Network struct {
	mu      sync.Mutex
	changed *sync.Cond // a link, a host or a port has changed: dials look again
	opt     Options
	random  *rand.Rand
	hosts   map[string]*Host     // by name
	byIP    map[netip.Addr]*Host // by address
	cut     map[link]bool        // one-way cuts
	streams map[*stream]struct{} // all open ends
	closed  bool
}

// New returns a network without hosts.
func New(opt Options) *Network {
	if opt.Latency == 0 {
		opt.Latency = time.Millisecond
	}
	n := &Network{
		opt:     opt,
		random:  rand.New(rand.NewPCG(opt.Seed, 0x75_63_70)),
		hosts:   map[string]*Host{},
		byIP:    map[netip.Addr]*Host{},
		cut:     map[link]bool{},
		streams: map[*stream]struct{}{},
	}
	n.changed = sync.NewCond(&n.mu)
	return n
}

// Host is one machine on the network. It outlives the node that runs on it: after
// Crash and Restart the same address serves the next.
type Host struct {
	net  *Network
	name string
	ip   netip.Addr

	// Guarded by net.mu.
	up        bool
	transport *transport           // nil: nothing listens for gossip
	listeners map[uint16]*listener // by port
	lastPort  uint16               // ephemeral ports given out
}

// Host returns the host of that name, making it when it is new. New hosts get the
// addresses 10.0.0.1, 10.0.0.2, ... in order.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		return h
	}
	i := len(n.hosts) + 1
	h := &Host{
		net: n, name: name, up: true,
		ip:        netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
		listeners: map[uint16]*listener{},
		lastPort:  32767,
	}
	n.hosts[name], n.byIP[h.ip] = h, h
	return h
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// GossipAddr returns ip:7946.
func (h *Host) GossipAddr() string { return netip.AddrPortFrom(h.ip, GossipPort).String() }

// HTTPAddr returns ip:8000.
func (h *Host) HTTPAddr() string { return netip.AddrPortFrom(h.ip, HTTPPort).String() }

// Crash takes the host off the network as a power cut does: its transport,
// listeners and streams are dead, its peers hear nothing, and what is on the way
// to or from it is lost. What runs on the host notices only that its network is
// closed; the test still has to stop it.
func (h *Host) Crash() {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	h.up = false
	if h.transport != nil {
		h.transport.closeLocked()
	}
	for _, l := range h.listeners {
		l.closeLocked()
	}
	for s := range n.streams {
		if s.host == h {
			s.silent = true
			s.dieLocked(net.ErrClosed)
		}
	}
	n.changed.Broadcast()
}

// Restart brings a crashed host back, with nothing on it: the next node asks
// for a Transport and a listener again.
func (h *Host) Restart() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.up = true
	h.net.wakeLocked()
}

// Up reports whether the host has not crashed, or is restarted.
func (h *Host) Up() bool {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.up
}

// settle is more than any wait of memberlist or Serf that only a timer ends.
const settle = time.Minute

// Close crashes all hosts, for ever, so that every wait in this network ends. A
// test calls it last, when its nodes are shut down. Then Close sleeps a minute,
// virtual in a bubble: libraries have goroutines that after their shutdown still
// wait for a timer, and when the test function is gone virtual time stands still,
// so that synctest would report them as deadlocked.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	hosts := make([]*Host, 0, len(n.hosts))
	for _, h := range n.hosts {
		hosts = append(hosts, h)
	}
	n.mu.Unlock()
	for _, h := range hosts {
		h.Crash()
	}
	time.Sleep(settle)
}

// lookupLocked finds the host of an address "host:port", by IP or by name.
func (n *Network) lookupLocked(addr string) (*Host, uint16, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, 0, fmt.Errorf("sim: address %q: %w", addr, err)
	}
	to := n.hosts[host]
	if ip, err := netip.ParseAddr(host); err == nil {
		to = n.byIP[ip.Unmap()]
	}
	if to == nil {
		return nil, 0, fmt.Errorf("sim: address %q: no host of this network", addr)
	}
	var p uint16
	if _, err := fmt.Sscanf(port, "%d", &p); err != nil {
		return nil, 0, fmt.Errorf("sim: address %q: bad port: %w", addr, err)
	}
	return to, p, nil
}
