package gossip

import (
	"net"
	"sync"
	"time"
)

// transport wraps the Transport that really moves bytes, for six reasons:
//
//  1. FinalAdvertiseAddr installs our delegates (see the package comment).
//  2. Nothing comes in before Serf is complete. Serf sets some of its fields only
//     after memberlist has begun to listen. A query or an event that arrives in
//     between, for instance because this node has just restarted and its peers still
//     gossip to its address, would make Serf dereference nil pointers.
//  3. Streams are tracked, so that a shutdown can close them (streams.go).
//  4. What would mute a node for good is not let in (sift.go).
//  5. What is encrypted is opened, and what is not is not let in where it has to be (keyring.go).
//  6. Where it is to listen on IPv4 alone, nothing is taken in by IPv6 (bind.go).
type transport struct {
	Transport
	install     func() error // installs our delegates; called once
	installOnce sync.Once
	installErr  error
	ready       chan struct{} // closed by open, or at the latest by Shutdown
	openOnce    sync.Once
	lets        func(from net.Addr) bool // see sockets.lets
	sift        *sift
	seal        seal
	keys        *keys        // nil: there are none
	packets     chan *Packet // those that were let in
	receiver    sync.WaitGroup
	streams     *streams
	down        chan struct{} // closed: Shutdown has begun
	closed      chan struct{} // closed: the underlying transport is down
	downOnce    sync.Once
	downErr     error
}

func newTransport(inner Transport, sift *sift, seal seal, install func() error) *transport {
	t := &transport{
		Transport: inner, install: install, sift: sift, seal: seal,
		ready: make(chan struct{}), down: make(chan struct{}), closed: make(chan struct{}), packets: make(chan *Packet),
	}
	t.lets = func(net.Addr) bool { return true }
	if s, ok := inner.(*sockets); ok {
		t.lets = s.lets
	}
	t.streams = newStreams(inner.StreamCh(), t.ready, t.lets, sift, seal)
	t.receiver.Go(t.receive)
	return t
}

// receive passes on what is let in of incoming packets, after open, and drops what comes after the shutdown has
// begun: the readers of the underlying transport may block on a packet until it is down.
func (t *transport) receive() {
	<-t.ready
	incoming := t.Transport.PacketCh()
	for {
		select {
		case <-t.closed:
			return
		case p := <-incoming:
			if !t.lets(p.From) {
				continue
			}
			b := t.letIn(p)
			if len(b) == 0 && len(p.Buf) > 0 {
				continue
			}
			select {
			case t.packets <- &Packet{Buf: b, From: p.From, Timestamp: p.Timestamp}:
			case <-t.down:
			}
		}
	}
}

// letIn returns what is let in of a packet.
func (t *transport) letIn(p *Packet) []byte {
	b, err := t.seal.open(p.Buf, nil)
	switch {
	case err != nil:
		t.sift.unsealed(p.From)
		return nil
	case t.seal.opens(b, nil):
		b, _ = t.sift.misshapen("it is encrypted twice")
		return b
	}
	return t.sift.packet(b)
}

// say sends a packet of this package's own.
func (t *transport) say(b []byte, addr Address) error {
	sealed, err := t.seal.close(b, nil)
	if err == nil {
		_, err = t.WriteToAddress(sealed, addr)
	}
	return err
}

// open lets packets and streams in. Pool.start calls it when Serf is complete.
func (t *transport) open() { t.openOnce.Do(func() { close(t.ready) }) }

// FinalAdvertiseAddr implements Transport. memberlist first calls it before any goroutine of its own runs, on
// the goroutine that configured it, when its configuration may still be changed. Later calls install nothing.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	t.installOnce.Do(func() { t.installErr = t.install() })
	if t.installErr != nil {
		return nil, 0, t.installErr
	}
	return t.Transport.FinalAdvertiseAddr(ip, port)
}

// PacketCh implements Transport: it delivers what is let in of incoming packets, after open.
func (t *transport) PacketCh() <-chan *Packet { return t.packets }

// StreamCh implements Transport: it delivers incoming streams after open.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams.incoming }

// DialAddressTimeout implements Transport: it opens a stream to a peer.
func (t *transport) DialAddressTimeout(addr Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.Transport.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	return t.streams.track(conn, true)
}

// DialTimeout implements Transport, for a peer whose name is not known.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(Address{Addr: addr}, timeout)
}

// WriteToAddress implements Transport: it sends a packet. After the shutdown has begun it drops the packet
// and reports success: a packet may be lost at any time, and an error would only be logged.
func (t *transport) WriteToAddress(b []byte, addr Address) (time.Time, error) {
	select {
	case <-t.down:
		return time.Now(), nil
	default:
	}
	t.keys.keep()
	return t.Transport.WriteToAddress(b, addr)
}

// WriteTo implements Transport, for a peer whose name is not known.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, Address{Addr: addr})
}

// Shutdown implements Transport: it closes all streams and then the underlying transport. It may be called
// several times, and memberlist calls it, too.
func (t *transport) Shutdown() error {
	t.downOnce.Do(func() {
		close(t.down)
		t.open()
		t.streams.close()
		t.downErr = t.Transport.Shutdown()
		close(t.closed)
		t.receiver.Wait()
		t.streams.wait()
	})
	return t.downErr
}
