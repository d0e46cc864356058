package simnet

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/urban-compute/ucp/gossip"
)

// socketBuffer is how many packets or streams may wait for a receiver, as in a
// kernel's buffers; what comes beyond is lost (packets) or refused (streams).
const socketBuffer = 1024

// transport is what a simulated node gossips through: UDP and TCP of port 7946.
type transport struct {
	host    *Host
	packets chan *gossip.Packet
	streams chan net.Conn
	accept  *listener // feeds streams
	closed  bool      // guarded by host.net.mu
}

// Transport opens the host's gossip port, for one node. After Crash or the
// transport's Shutdown the next may be opened. It is an error while one is open.
func (h *Host) Transport() (gossip.Transport, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if !h.up {
		return nil, fmt.Errorf("sim: open the gossip port of %s: the host is down: Restart it", h.name)
	}
	if h.transport != nil {
		return nil, fmt.Errorf("sim: open the gossip port of %s: it is open already: shut the other node down", h.name)
	}
	streams := make(chan net.Conn, socketBuffer)
	l, err := h.listenLocked(GossipPort, streams)
	if err != nil {
		return nil, err
	}
	h.transport = &transport{host: h, packets: make(chan *gossip.Packet, socketBuffer), streams: streams, accept: l}
	return h.transport, nil
}

// FinalAdvertiseAddr returns the host's address, unless another is asked for.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		return t.host.ip.AsSlice(), GossipPort, nil
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("sim: advertise %q: %w", ip, err)
	}
	return addr.AsSlice(), port, nil
}

// WriteTo sends a packet. As with UDP, no error means nothing.
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
	if lost || port != GossipPort || !n.openLocked(t.host, to) {
		return now, nil
	}
	p := &gossip.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.host.ip, GossipPort))}
	time.AfterFunc(delay, func() { t.deliver(to, p) })
	return now, nil
}

// deliver ends a packet's way. A cut or a crash while it flew loses it; a restart
// in between too, since t is of the life before.
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

// WriteToAddress sends a packet; the peer's name does not matter here.
func (t *transport) WriteToAddress(b []byte, addr gossip.Address) (time.Time, error) {
	return t.WriteTo(b, addr.Addr)
}

// PacketCh delivers incoming packets. It is never closed.
func (t *transport) PacketCh() <-chan *gossip.Packet { return t.packets }

// StreamCh delivers incoming streams. It is never closed.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout opens a stream to a peer.
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

// DialAddressTimeout opens a stream to a peer; its name does not matter here.
func (t *transport) DialAddressTimeout(addr gossip.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(addr.Addr, timeout)
}

// Shutdown closes the port. Streams that are open stay open.
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
