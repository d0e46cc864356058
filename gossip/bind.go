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

// resolveTimeout bounds a DNS lookup. During a disaster, a name server may be reachable but not answer.
const resolveTimeout = 5 * time.Second

// maxBindTries is how many ports are tried that the kernel has chosen for TCP but that are in use for UDP.
const maxBindTries = 10

// splitAddr splits "host:port". A missing part is replaced by its default. what, the name of a setting, tells
// in the error which address is wrong.
func splitAddr(what, addr, defaultHost string, defaultPort uint16) (host string, port uint16, err error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		var missing *net.AddrError
		if errors.As(err, &missing) && missing.Err == "missing port in address" {
			host, portText, err = strings.Trim(addr, "[]"), "", nil
		}
	}
	if err != nil {
		return "", 0, fmt.Errorf("gossip: %s address %q: %w: write host:port, with an IPv6 host in brackets", what, addr, err)
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

// resolve returns the addresses of a host, which is a name or an IP address. An IP address needs no name server.
func resolve(ctx context.Context, by *net.Resolver, what, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := by.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("gossip: %s host %q: looking up its address: %w: write an IP address if no name server is reachable", what, host, err)
	}
	ips := make([]netip.Addr, len(found))
	for i, ip := range found {
		ips[i] = ip.Unmap()
	}
	return ips, nil
}

// LookUp returns the addresses of a host, which is a name or an IP address, within 5 s.
func LookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	return resolve(ctx, net.DefaultResolver, "own", host)
}

// resolveOne resolves an address of this machine. It returns the first one that was found.
func resolveOne(ctx context.Context, what, addr, defaultHost string) (netip.AddrPort, error) {
	host, port, err := splitAddr(what, addr, defaultHost, DefaultPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := resolve(ctx, net.DefaultResolver, what, host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ips[0], port), nil
}

// sockets is the real transport. Unlike memberlist's, it cancels its dials when it is shut down, so that a
// shutdown need not wait for a dead peer's TCP timeout.
type sockets struct {
	*memberlist.NetTransport
	only4  bool            // it is to listen on IPv4 alone
	ctx    context.Context // ends at Shutdown
	cancel context.CancelFunc
}

// lets reports whether what comes from an address is taken in. memberlist takes 0.0.0.0 for IPv6, too, as the system does, and a
// firewall for IPv4 leaves that open: what comes by it is dropped before anything of it is read.
func (s *sockets) lets(from net.Addr) bool {
	at, err := netip.ParseAddrPort(from.String())
	return !s.only4 || err == nil && at.Addr().Unmap().Is4()
}

// bindSockets binds UDP and TCP at one address and port. With port 0, the port that the kernel chooses for
// TCP may be in use for UDP; then another one is tried.
func bindSockets(bind netip.AddrPort, logger *log.Logger) (*sockets, error) {
	for try := 1; ; try++ {
		inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()), Logger: logger,
		})
		if err == nil {
			ctx, cancel := context.WithCancel(context.Background())
			return &sockets{NetTransport: inner, only4: bind.Addr() == netip.IPv4Unspecified(), ctx: ctx, cancel: cancel}, nil
		}
		if bind.Port() != 0 || try == maxBindTries || !addressInUse(err) {
			return nil, fmt.Errorf("gossip: listening for peers on %s (UDP and TCP): %w: choose another --bind, or stop the program that uses it", bind, err)
		}
	}
}

// addressInUse reports whether a bind failed because another socket uses the port. memberlist does not wrap
// the cause, so its text has to be searched.
func addressInUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), syscall.EADDRINUSE.Error())
}

// DialAddressTimeout implements Transport: it opens a stream to a peer.
func (s *sockets) DialAddressTimeout(addr Address, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(s.ctx, "tcp", addr.Addr)
}

// DialTimeout implements Transport, for a peer whose name is not known.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return s.DialAddressTimeout(Address{Addr: addr}, timeout)
}

// Shutdown implements Transport: it cancels dials, closes the sockets and waits for their readers.
func (s *sockets) Shutdown() error {
	s.cancel()
	return s.NetTransport.Shutdown()
}
