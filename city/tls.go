package city

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/urban-compute/ucp/identity"
)

// ServerTLS is for a listener: it takes members of the city, those who show no certificate, and those that web knows, which may return nil.
func (s *Self) ServerTLS(web func() *identity.Web) *tls.Config {
	return identity.ServerConfig(s.shown, s, web)
}

// ClientTLS is for connections to brokers of the city.
func (s *Self) ClientTLS() *tls.Config { return identity.ClientConfig(s.shown, s) }

// Dialer makes TLS connections to brokers of the city, which end when those belong to it no more.
func (s *Self) Dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		raw, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		hooked := &hooked{Conn: raw}
		conn := tls.Client(hooked, s.ClientTLS())
		hooked.closing = func() { s.Untrack(conn) }
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // the handshake's error says more
			return nil, err
		}
		s.Track(conn)
		return conn, nil
	}
}

// hooked is a connection whose end is told.
type hooked struct {
	net.Conn
	closing func()
}

// Close implements net.Conn.
func (h *hooked) Close() error {
	h.closing()
	return h.Conn.Close()
}

// Track notes a connection whose handshake is over, so that it is closed when who is at its other side belongs to the city
// no more. Who has shown nothing is left alone.
func (s *Self) Track(conn *tls.Conn) {
	state := conn.ConnectionState()
	c, err := identity.CredentialOf(&state)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[conn] = c
	s.closeFallen() // it may have fallen since it was verified
}

// Untrack forgets a connection that has ended.
func (s *Self) Untrack(conn *tls.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

// closeFallen closes the connections of those who belong to the city no more; the lock is held.
func (s *Self) closeFallen() {
	for conn, c := range s.open {
		if err := s.book.Verify(c.Admission); err != nil {
			delete(s.open, conn)
			s.log.Warn("a connection is closed, since its other side does not belong to the city any more", "member", c.Admission.Name, "role", c.Admission.Role, "error", err)
			go func() { _ = conn.NetConn().Close() }() // Close of TLS itself would wait for who does not read
		}
	}
}
