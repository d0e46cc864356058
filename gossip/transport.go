package gossip

import (
	"net"
	"sync"
	"time"
)

// transport wraps the Transport that really moves bytes, for three reasons:
//
//  1. FinalAdvertiseAddr installs our delegates (see the package comment).
//  2. Nothing comes in before Serf is complete. Serf sets some of its fields only
//     after memberlist has begun to listen. A query or an event that arrives in
//     between, for instance because this node has just restarted and its peers still
//     gossip to its address, would make Serf dereference nil pointers.
//  3. Streams are tracked, so that a shutdown can close them (streams.go).
type transport struct {
	Transport
	install     func() error // installs our delegates; called once
	installOnce sync.Once
	installErr  error
	ready       chan struct{} // closed by open, or at the latest by Shutdown
	openOnce    sync.Once
	streams     *streams
	down        chan struct{} // closed: Shutdown has begun
	downOnce    sync.Once
	downErr     error
}

func newTransport(inner Transport, install func() error) *transport {
	t := &transport{Transport: inner, install: install, ready: make(chan struct{}), down: make(chan struct{})}
	t.streams = newStreams(inner.StreamCh(), t.ready)
	return t
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

// PacketCh implements Transport. memberlist's receiver calls it before each packet. Waiting for open here
// holds packets back without another goroutine.
func (t *transport) PacketCh() <-chan *Packet {
	<-t.ready
	return t.Transport.PacketCh()
}

// StreamCh implements Transport: it delivers incoming streams after open.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams.incoming }

// DialAddressTimeout implements Transport: it opens a stream to a peer.
func (t *transport) DialAddressTimeout(addr Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.Transport.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	return t.streams.track(conn)
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
	return t.Transport.WriteToAddress(b, addr)
}

// WriteTo implements Transport, for a peer whose name is not known.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, Address{Addr: addr})
}

// Shutdown implements Transport: it closes all streams and then the underlying transport. It may be called
// several times, and memberlist calls it, too. If memberlist has not started to receive, the readers of the
// underlying transport may block on a packet, which is why packets are drained.
func (t *transport) Shutdown() error {
	t.downOnce.Do(func() {
		close(t.down)
		t.open()
		t.streams.close()
		drained := make(chan struct{})
		var drain sync.WaitGroup
		drain.Go(func() {
			for {
				select {
				case <-t.Transport.PacketCh():
				case <-drained:
					return
				}
			}
		})
		t.downErr = t.Transport.Shutdown()
		close(drained)
		drain.Wait()
		t.streams.wait()
	})
	return t.downErr
}
