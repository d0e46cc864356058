package gossip

import (
	"net"
	"sync"
	"time"
)

// transport wraps the Transport that really moves bytes, for three things:
//
//  1. FinalAdvertiseAddr is where our delegates get in (see the package comment).
//  2. Nothing comes in before Serf is complete. Serf sets some of its fields only
//     after memberlist has begun to listen; a query or an event that arrives in
//     between, say because this node has just restarted and its peers still
//     gossip to its address, would meet nil pointers there.
//  3. Streams are known, so that a shutdown can close them (streams.go).
type transport struct {
	Transport
	install     func() error // puts our delegates in; called once
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

// open lets packets and streams in. Start calls it when Serf is complete.
func (t *transport) open() { t.openOnce.Do(func() { close(t.ready) }) }

// FinalAdvertiseAddr is called by memberlist first before any goroutine of its own
// runs, on the goroutine that configured it: the moment when its configuration
// may still be changed. Later calls, from others, change nothing.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	t.installOnce.Do(func() { t.installErr = t.install() })
	if t.installErr != nil {
		return nil, 0, t.installErr
	}
	return t.Transport.FinalAdvertiseAddr(ip, port)
}

// PacketCh is asked by memberlist's receiver before each packet. Its first call
// waits for open: that holds packets back without a goroutine in between.
func (t *transport) PacketCh() <-chan *Packet {
	<-t.ready
	return t.Transport.PacketCh()
}

// StreamCh delivers incoming streams, once open.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams.incoming }

// DialAddressTimeout opens a stream to a peer.
func (t *transport) DialAddressTimeout(addr Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.Transport.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	return t.streams.track(conn)
}

// DialTimeout is DialAddressTimeout for a peer whose name is not known.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(Address{Addr: addr}, timeout)
}

// WriteToAddress sends a packet. Once the shutdown has begun it pretends to: a
// packet may be lost at any time, and an error would only be logged.
func (t *transport) WriteToAddress(b []byte, addr Address) (time.Time, error) {
	select {
	case <-t.down:
		return time.Now(), nil
	default:
	}
	return t.Transport.WriteToAddress(b, addr)
}

// WriteTo is WriteToAddress for a peer whose name is not known.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, Address{Addr: addr})
}

// Shutdown closes all streams and then the transport beneath. It may be called
// often; memberlist calls it too. The readers of the transport beneath may hang on
// a packet that nobody takes, when memberlist never came to run: hence the drain.
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
