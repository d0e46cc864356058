// Package simnet is a simulated network for tests: hosts, packets, streams, partitions and
// crashes. It exists because the faults that matter (partitions, crashes, lost packets, minutes
// of silence) can neither be produced in real networks on demand nor be waited for. It is made
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

// The ports of every simulated host.
const (
	gossipPort = 7946
	httpPort   = 8000
)

// Options configure a simulated network. The zero value is a perfect
// network with a latency of 1 ms.
type Options struct {
	// Seed seeds the random loss and jitter. The same seed gives the same
	// sequence of random values; which packet gets which value depends on the scheduler.
	Seed uint64
	// Latency is how long bytes take in one direction; 0 means 1 ms. From a host to
	// itself they take no time.
	Latency time.Duration
	// Jitter is the largest random addition to Latency for packets, uniformly distributed. With it, packets
	// overtake each other. Streams have no jitter.
	Jitter time.Duration
	// Loss is the probability that a packet is lost, from 0 to 1. Streams lose
	// nothing, because TCP would retransmit it.
	Loss float64
}

// Network is a simulated network. Make one with New, inside of the testing/synctest bubble, where its time is
// virtual. It starts no goroutine, sleeps only on timers and blocks only on channels and condition variables.
// All its methods may be called from any goroutine.
//
// It differs from a real network in one respect: a stream that was cut continues at
// once when the link is healed, as if a retransmission happened at that moment. As in a real network, a peer that
// is cut off or has crashed does not answer; it does not refuse.
type Network struct {
	mu      sync.Mutex
	changed *sync.Cond // a link, a host or a port has changed; dials check again
	opt     Options
	random  *rand.Rand
	hosts   map[string]*Host     // by name
	byIP    map[netip.Addr]*Host // by address
	cut     map[link]bool        // one-way cuts
	streams map[*stream]struct{} // all open ends of streams
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
// Crash and Restart, the next node has the same address.
type Host struct {
	net  *Network
	name string
	ip   netip.Addr

	// Guarded by net.mu.
	up        bool
	transport *transport           // nil if the gossip port is not open
	listeners map[uint16]*listener // by port
	lastPort  uint16               // the last ephemeral port that was used
}

// Host returns the host with the given name, and makes it if it does not exist. New hosts get the
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

// GossipAddr returns the host's address for gossip, ip:7946.
func (h *Host) GossipAddr() string { return netip.AddrPortFrom(h.ip, gossipPort).String() }

// HTTPAddr returns the host's address for HTTP, ip:8000.
func (h *Host) HTTPAddr() string { return netip.AddrPortFrom(h.ip, httpPort).String() }

// Crash removes the host from the network, as a power failure does: its transport,
// listeners and streams are closed, its peers are not told, and everything on the way
// to or from it is lost. A program on the host only notices that its network is
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

// Restart brings a crashed host back. The next node must open a transport and a listener again.
func (h *Host) Restart() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.up = true
	h.net.wakeLocked()
}

// settle is longer than any wait of memberlist or Serf that only a timer ends.
const settle = time.Minute

// Close crashes all hosts permanently, so that every wait in this network ends. A
// test calls it last, after its nodes were shut down. Then Close sleeps for a minute, which is
// virtual in a bubble: goroutines of the libraries still wait for timers after a shutdown,
// and virtual time stops when the test function has returned, so
// synctest would report these goroutines as deadlocked.
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
		return nil, 0, fmt.Errorf("simnet: address %q: %w", addr, err)
	}
	to := n.hosts[host]
	if ip, err := netip.ParseAddr(host); err == nil {
		to = n.byIP[ip.Unmap()]
	}
	if to == nil {
		return nil, 0, fmt.Errorf("simnet: address %q: this network has no such host", addr)
	}
	var p uint16
	if _, err := fmt.Sscanf(port, "%d", &p); err != nil {
		return nil, 0, fmt.Errorf("simnet: address %q: invalid port: %w", addr, err)
	}
	return to, p, nil
}
