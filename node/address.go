package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// httpPort is where HTTP listens unless it is told otherwise, as [api.DefaultAddr] says to clients.
const httpPort = "8000"

// AddressError is an address that a broker can't be bound to, or that peers can't be told.
type AddressError struct {
	Flag   string // that gives it, without dashes
	Reason string // begins with the address
}

// Error implements error.
func (e *AddressError) Error() string { return "--" + e.Flag + " " + e.Reason }

func badAddress(flag, format string, args ...any) error {
	return &AddressError{Flag: flag, Reason: fmt.Sprintf(format, args...)}
}

// Addresses are where a broker listens, and what it tells its peers: host:port each, "" for what follows from the others.
type Addresses struct {
	Bind, Advertise         string // gossip
	HTTPAddr, HTTPAdvertise string
}

// Complete fills in where HTTP listens: at the host of the gossip. It returns an *AddressError where peers would be told
// an address that leads them nowhere, or to themselves: an address that means "all", one of this machine only while the
// gossip is not, or one whose zone only this machine knows.
func (a Addresses) Complete() (Addresses, error) {
	bind, _, err := net.SplitHostPort(a.Bind)
	if err != nil {
		return a, badAddress("bind", "%q: write host:port: %v", a.Bind, err)
	}
	if a.HTTPAddr == "" {
		a.HTTPAddr = net.JoinHostPort(bind, httpPort)
	}
	if ip, err := netip.ParseAddr(bind); err == nil && ip.Is6() && ip.IsLinkLocalUnicast() {
		return a, badAddress("bind", "%s: a link-local address of IPv6 counts on one network of this machine only, and gossip has no room for which: take another address", a.Bind)
	}
	if why := untellable(bind); why != "" && !wildcard(bind) {
		return a, badAddress("bind", "%s: %s: take an address of this machine", a.Bind, why)
	}
	if a.Advertise != "" {
		host, _, err := net.SplitHostPort(a.Advertise)
		if err != nil {
			return a, badAddress("advertise", "%q: write host:port: %v", a.Advertise, err)
		}
		if why := untellable(host); why != "" {
			return a, badAddress("advertise", "%s: %s: name one that they reach", a.Advertise, why)
		}
		if onlyHere(host) && !onlyHere(bind) {
			return a, badAddress("advertise", "%s: only this machine reaches it, and the gossip is bound to %s: name one that the others reach, or bind it to a loopback address, too", a.Advertise, a.Bind)
		}
	}
	_, err = a.http(a.HTTPAddr, net.JoinHostPort(a.gossipHost("an address of this machine"), "0")) // which one is not known yet
	return a, err
}

// gossipHost is the host that peers are told for gossip, where any address of this machine is bound the one that was chosen.
func (a Addresses) gossipHost(chosen string) string {
	for _, addr := range []string{a.Advertise, a.Bind} {
		if host, _, err := net.SplitHostPort(addr); err == nil && !wildcard(host) {
			return host
		}
	}
	return chosen
}

// http is the HTTP address that peers are told. Bound is where HTTP listens, gossip the gossip address that they are told.
func (a Addresses) http(bound, gossip string) (string, error) {
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "", badAddress("http-addr", "%q: write host:port: %v", bound, err)
	}
	gossipHost, _, err := net.SplitHostPort(gossip)
	if err != nil {
		return "", badAddress("bind", "%q: write host:port: %v", gossip, err)
	}
	if a.HTTPAdvertise != "" {
		given, givenPort, err := net.SplitHostPort(a.HTTPAdvertise)
		if err != nil {
			return "", badAddress("http-advertise", "%q: write host:port: %v", a.HTTPAdvertise, err)
		}
		why := untellable(given)
		if why == "" && onlyHere(given) && !onlyHere(gossipHost) {
			why = fmt.Sprintf("only this machine reaches it, and peers see this broker at %s", gossipHost)
		}
		if why != "" {
			return "", badAddress("http-advertise", "%s: %s: name an address that they reach", a.HTTPAdvertise, why)
		}
		if givenPort != "0" {
			port = givenPort
		}
		return net.JoinHostPort(given, port), nil
	}
	ip, _ := netip.ParseAddr(host)
	switch why := untellable(host); {
	case why != "" && !wildcard(host) && ip.Is4():
		return "", badAddress("http-addr", "%s: %s: take an address of this machine", bound, why)
	case host == "0.0.0.0" && isIPv6(gossipHost):
		return "", badAddress("http-addr", "%s: it is IPv4 only, and peers see this broker at %s: take [::]:%s, or say with --http-advertise where they reach it", bound, gossipHost, port)
	case wildcard(host):
		host = gossipHost
	case ip.Zone() != "" || ip.Is6() && ip.IsLinkLocalUnicast():
		return "", badAddress("http-addr", "%s: a link-local address counts on one network of this machine only, so peers can't be told it: say with --http-advertise where they reach it", bound)
	case onlyHere(host) && !onlyHere(gossipHost):
		return "", badAddress("http-addr", "%s: only this machine reaches it, and peers see this broker at %s: leave it out, for port %s there, or say with --http-advertise where they reach it", bound, gossipHost, httpPort)
	}
	return net.JoinHostPort(host, port), nil
}

// untellable says why peers can't be told a host; "" when they can.
func untellable(host string) string {
	if wildcard(host) {
		return "it means all addresses of this machine, and peers who were told it would talk to themselves"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "" // a name
	case ip.IsMulticast():
		return "it is a multicast address"
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "it is a broadcast address"
	case ip.Zone() != "" || ip.Is6() && ip.IsLinkLocalUnicast():
		return "a link-local address of IPv6 counts on one network of one machine only"
	}
	return ""
}

// wildcard reports whether a host stands for all addresses of a machine.
func wildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().WithZone("").IsUnspecified()
}

// onlyHere reports whether a host is reached by its own machine only.
func onlyHere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func isIPv6(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().Is6()
}

// wayTimeout bounds how long is looked for the way to a peer, whose name may have to be looked up.
const wayTimeout = 2 * time.Second

// wayTo is the address from which packets to a peer leave this machine; invalid when there is no way. Nothing is sent.
func wayTo(ctx context.Context, peer string) netip.Addr {
	d := net.Dialer{Timeout: wayTimeout}
	conn, err := d.DialContext(ctx, "udp", peer)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	from, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap()
}

// machineAddresses are the addresses of this machine's interfaces that are up.
func machineAddresses() (out []netip.Addr) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // it counts as having none, and is asked again
	}
	for _, x := range list {
		if p, err := netip.ParsePrefix(x.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// chooseAddress picks, of a machine's addresses, what peers are told: the one on the way to a peer, else the most likely to
// be reached. On 0.0.0.0 only those of IPv4 are bound.
func chooseAddress(bind string, way netip.Addr, own []netip.Addr) netip.Addr {
	fits := func(ip netip.Addr) bool {
		return ip.IsValid() && (ip.Is4() || bind != "0.0.0.0" && bind != "") && untellable(ip.String()) == ""
	}
	if fits(way) {
		return way
	}
	own = slices.DeleteFunc(slices.Clone(own), func(ip netip.Addr) bool { return !fits(ip) })
	slices.SortStableFunc(own, func(a, b netip.Addr) int { return reach(a) - reach(b) })
	if len(own) == 0 {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return own[0]
}

// reachLinkLocal is the reach of addresses that machines give themselves.
const reachLinkLocal = 4

// reach orders addresses by how likely it is that brokers nearby reach them: private ones of IPv4, then of IPv6, public
// ones, those that a machine gave itself since nobody gave it one, and its own.
func reach(ip netip.Addr) int {
	switch {
	case ip.IsLoopback():
		return reachLinkLocal + 1
	case ip.IsLinkLocalUnicast():
		return reachLinkLocal
	case ip.IsPrivate() && ip.Is4():
		return 0
	case ip.Is4():
		return 1
	case ip.IsPrivate():
		return 2
	}
	return 3
}
