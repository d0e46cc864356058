package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// resolveTimeout bounds a look-up of a name in DNS, which during a disaster may
// be there but mute.
const resolveTimeout = 5 * time.Second

// bindTries is how often a port that the kernel gave for TCP may turn out to be
// taken for UDP before we give up.
const bindTries = 10

// splitAddr takes "host:port" apart; what is missing comes from the defaults, and
// what (a flag's name) makes the error tell where to look.
func splitAddr(what, addr, defaultHost string, defaultPort uint16) (host string, port uint16, err error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		var missing *net.AddrError
		if errors.As(err, &missing) && missing.Err == "missing port in address" {
			host, portText, err = strings.Trim(addr, "[]"), "", nil
		}
	}
	if err != nil {
		return "", 0, fmt.Errorf("gossip: %s address %q: %w: write host:port, an IPv6 host in brackets", what, addr, err)
	}
	if host == "" {
		host = defaultHost
	}
	if portText == "" {
		return host, defaultPort, nil
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("gossip: %s address %q: the port must be a number from 0 to 65535", what, addr)
	}
	return host, uint16(n), nil
}

// resolve turns a host, a name or a literal, into its addresses. A literal asks
// nobody.
func resolve(ctx context.Context, what, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("gossip: %s host %q: look up its address: %w: write an IP address if no name server is reachable", what, host, err)
	}
	ips := make([]netip.Addr, len(found))
	for i, ip := range found {
		ips[i] = ip.Unmap()
	}
	return ips, nil
}

// resolveOne is resolve for an address of this machine: the first found.
func resolveOne(ctx context.Context, what, addr, defaultHost string) (netip.AddrPort, error) {
	host, port, err := splitAddr(what, addr, defaultHost, DefaultPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := resolve(ctx, what, host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ips[0], port), nil
}

// sockets is the real transport. Beyond memberlist's it ends its dials when it is
// shut down, so that a shutdown need not wait for a dead peer's TCP timeout.
type sockets struct {
	*memberlist.NetTransport
	ctx    context.Context // ends at Shutdown
	cancel context.CancelFunc
}

// bindSockets binds UDP and TCP at one address, and one port. With port 0 the
// kernel's choice for TCP may be taken for UDP: then another is tried.
func bindSockets(bind netip.AddrPort, logger *log.Logger) (*sockets, error) {
	for try := 1; ; try++ {
		inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()), Logger: logger,
		})
		if err == nil {
			ctx, cancel := context.WithCancel(context.Background())
			return &sockets{NetTransport: inner, ctx: ctx, cancel: cancel}, nil
		}
		if bind.Port() != 0 || try == bindTries || !taken(err) {
			return nil, fmt.Errorf("gossip: listen for peers on %s (UDP and TCP): %w: choose another --bind, or stop what uses it", bind, err)
		}
	}
}

// taken reports whether a bind failed because another socket has the port.
// memberlist does not wrap the cause, so that its text must do.
func taken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), syscall.EADDRINUSE.Error())
}

// DialAddressTimeout opens a stream to a peer.
func (s *sockets) DialAddressTimeout(addr Address, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(s.ctx, "tcp", addr.Addr)
}

// DialTimeout is DialAddressTimeout for a peer whose name is not known.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return s.DialAddressTimeout(Address{Addr: addr}, timeout)
}

// Shutdown ends dials under way, closes the sockets and waits for their readers.
func (s *sockets) Shutdown() error {
	s.cancel()
	return s.NetTransport.Shutdown()
}
