package gossip

import (
	"errors"
	"net"
	"sync"
)

// listeners accepts from several listeners, of which there is at least one. It is started once, before it is used.
type listeners struct {
	list     []net.Listener
	accepted chan accepted
	closed   chan struct{}
	once     sync.Once
	work     sync.WaitGroup
	err      error // of Close
}

type accepted struct {
	conn net.Conn
	err  error
}

// start begins to accept.
func (l *listeners) start() {
	l.accepted, l.closed = make(chan accepted), make(chan struct{})
	for _, one := range l.list {
		l.work.Go(func() { l.accept(one) })
	}
}

func (l *listeners) accept(one net.Listener) {
	for {
		conn, err := one.Accept()
		select {
		case l.accepted <- accepted{conn, err}:
		case <-l.closed:
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (l *listeners) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listeners) Close() error {
	l.once.Do(func() {
		close(l.closed)
		for _, one := range l.list {
			l.err = errors.Join(l.err, one.Close())
		}
		l.work.Wait()
	})
	return l.err
}

// Addr implements net.Listener.
func (l *listeners) Addr() net.Addr { return l.list[len(l.list)-1].Addr() }

// port is the host:port at which clients are served by TCP; "" where they are not.
func (l *listeners) port() string {
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		return addr.String()
	}
	return ""
}
