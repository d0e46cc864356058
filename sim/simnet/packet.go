package simnet

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/urban-compute/ucp/gossip"
)

// socketBuffer is how many packets or streams may wait for a receiver, as in a
// kernel's buffers. Further packets are lost, and further streams are refused.
const socketBuffer = 1024

// transport is a simulated node's transport for gossip: UDP and TCP on port 7946.
type transport struct {
	host    *Host
	packets chan *gossip.Packet
	streams chan net.Conn
	accept  *listener // feeds streams
	closed  bool      // guarded by host.net.mu
}

// Transport opens the host's gossip port for one node. It fails while the port is already open, until the
// transport's Shutdown or a Crash, and while the host is down.
func (h *Host) Transport() (gossip.Transport, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if !h.up {
		return nil, fmt.Errorf("simnet: opening the gossip port of %s: the host is down: call Restart first", h.name)
	}
	if h.transport != nil {
		return nil, fmt.Errorf("simnet: opening the gossip port of %s: it is already open: shut the other node down first", h.name)
	}
	streams := make(chan net.Conn, socketBuffer)
	l, err := h.listenLocked(gossipPort, streams)
	if err != nil {
		return nil, err
	}
	h.transport = &transport{host: h, packets: make(chan *gossip.Packet, socketBuffer), streams: streams, accept: l}
	return h.transport, nil
}

// FinalAdvertiseAddr implements gossip.Transport: it returns the host's address, unless another one is given.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		return t.host.ip.AsSlice(), gossipPort, nil
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("simnet: advertise address %q: %w", ip, err)
	}
	return addr.AsSlice(), port, nil
}

// WriteTo implements gossip.Transport: it sends a packet. As with UDP, it may be lost without an error.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	n := t.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if t.closed {
		return now, net.ErrClosed
	}
	to, port, err := n.lookupLocked(addr)
	if err != nil {
		return now, err
	}
	delay, lost := n.packetFateLocked(t.host, to)
	if lost || port != gossipPort || !n.openLocked(t.host, to) {
		return now, nil
	}
	p := &gossip.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.host.ip, gossipPort))}
	time.AfterFunc(delay, func() { t.deliver(to, p) })
	return now, nil
}

// deliver delivers a packet after its latency. It is lost if the link was cut or a host has crashed
// meanwhile, even if the sender was restarted, because t is closed then.
func (t *transport) deliver(to *Host, p *gossip.Packet) {
	n := t.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.closed || to.transport == nil || !n.openLocked(t.host, to) {
		return
	}
	p.Timestamp = time.Now()
	select {
	case to.transport.packets <- p:
	default: // the receiver is too slow
	}
}

// WriteToAddress implements gossip.Transport. The peer's name is not used.
func (t *transport) WriteToAddress(b []byte, addr gossip.Address) (time.Time, error) {
	return t.WriteTo(b, addr.Addr)
}

// PacketCh implements gossip.Transport: it delivers incoming packets, and is never closed.
func (t *transport) PacketCh() <-chan *gossip.Packet { return t.packets }

// StreamCh implements gossip.Transport: it delivers incoming streams, and is never closed.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout implements gossip.Transport: it opens a stream to a peer.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	n := t.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	return t.host.dialLocked(addr, time.Now().Add(timeout), func() error {
		if t.closed {
			return net.ErrClosed
		}
		return nil
	})
}

// DialAddressTimeout implements gossip.Transport. The peer's name is not used.
func (t *transport) DialAddressTimeout(addr gossip.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(addr.Addr, timeout)
}

// Shutdown implements gossip.Transport: it closes the port. Open streams stay open.
func (t *transport) Shutdown() error {
	t.host.net.mu.Lock()
	defer t.host.net.mu.Unlock()
	t.closeLocked()
	return nil
}

func (t *transport) closeLocked() {
	if t.closed {
		return
	}
	t.closed = true
	t.accept.closeLocked()
	if t.host.transport == t {
		t.host.transport = nil
	}
	t.host.net.changed.Broadcast()
}
