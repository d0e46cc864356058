package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
)

// Nodes find each other on their local networks as stock Serf agents with -discover do: each answers multicast questions
// for the service _serf_NAME._tcp with its gossip address (RFC 6762, 6763). Serf's own AgentMDNS is not used, though its
// library is: it knows one network only, joins each address once, and can't be ended.

const (
	mdnsWait = time.Second      // for answers
	mdnsLook = 10 * time.Second // how often a node that answers looks for networks that are new
)

// discoverPattern is the form of names for Config.Discover: one label of DNS, with room for what Serf puts around it.
var discoverPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?$`)

func checkDiscover(name string) error {
	if !discoverPattern.MatchString(name) {
		return fmt.Errorf("gossip: %q can't be discovered: use letters, digits and -, at most 50", name)
	}
	return nil
}

// mdnsNode looks for nodes on the networks of this machine, and answers those that look for it.
type mdnsNode struct {
	name, discover string
	log            *log.Logger
}

func newMDNS(name, discover string, out io.Writer) *mdnsNode {
	return &mdnsNode{name: name, discover: discover, log: log.New(debugOnly{out}, "", 0)}
}

// debugOnly marks lines of the mDNS library, which calls much an error that is none, as for those who look for the cause
// of something.
type debugOnly struct{ out io.Writer }

// Write implements io.Writer.
func (d debugOnly) Write(line []byte) (int, error) {
	_, text, _ := strings.Cut(string(line), "] ")
	_, err := io.WriteString(d.out, "[DEBUG] "+text)
	return len(line), err
}

// mdnsService is the name of the service that Serf gives nodes that discover each other.
func mdnsService(discover string) string { return "_serf_" + discover + "._tcp" }

// networks are the interfaces on which others may be found. Loopback leads nowhere.
func networks() (out []net.Interface) {
	list, err := net.Interfaces()
	if err != nil {
		return nil // it counts as having none, and is asked again
	}
	for _, x := range list {
		if addrs, err := x.Addrs(); err == nil && len(addrs) > 0 && x.Flags&(net.FlagUp|net.FlagMulticast) == net.FlagUp|net.FlagMulticast && x.Flags&net.FlagLoopback == 0 {
			out = append(out, x)
		}
	}
	return out
}

// answer answers questions for this node on all networks, also those that come later, until ctx ends.
func (m *mdnsNode) answer(ctx context.Context, own string) {
	servers := map[int]*mdns.Server{} // by interface
	defer func() {
		for _, s := range servers {
			_ = s.Shutdown() // it has no error
		}
	}()
	look := time.NewTicker(mdnsLook)
	defer look.Stop()
	for {
		now := networks()
		for i, s := range servers {
			if !slices.ContainsFunc(now, func(x net.Interface) bool { return x.Index == i }) {
				_ = s.Shutdown()
				delete(servers, i)
			}
		}
		for _, x := range now {
			if servers[x.Index] != nil {
				continue
			}
			s, err := m.serve(x, own)
			if err != nil {
				m.log.Printf("[DEBUG] mdns: %s: %v", x.Name, err)
				continue
			}
			servers[x.Index] = s
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// serve begins to answer on one network.
func (m *mdnsNode) serve(on net.Interface, own string) (*mdns.Server, error) {
	at, err := netip.ParseAddrPort(own)
	if err != nil {
		return nil, err
	}
	text := []string{fmt.Sprintf("Serf '%s' cluster", m.discover)}
	zone, err := mdns.NewMDNSService(m.name, mdnsService(m.discover), "", m.name+".local.", int(at.Port()), []net.IP{at.Addr().AsSlice()}, text)
	if err != nil {
		return nil, err
	}
	return mdns.NewServer(&mdns.Config{Zone: zone, Iface: &on, Logger: m.log})
}

// lookup asks on all networks who discovers others by a name. Answers come to the socket that asks, so that nothing is bound
// for all to hear, and no network needs a route for multicast: two machines and a cable have none.
func (m *mdnsNode) lookup(ctx context.Context, name string) (out []netip.AddrPort, err error) {
	question := new(dns.Msg)
	question.SetQuestion(mdnsService(name)+".local.", dns.TypePTR)
	question.RecursionDesired = false
	question.Question[0].Qclass |= unicastAnswers
	packet, err := question.Pack()
	if err != nil {
		return nil, fmt.Errorf("gossip: looking for %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, mdnsWait)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	var work sync.WaitGroup
	for _, from := range askFrom() {
		work.Go(func() {
			found, err := askFor(ctx, from, packet, mdnsService(name)+".local.")
			mu.Lock()
			defer mu.Unlock()
			out = append(out, found...)
			if err != nil {
				errs = append(errs, fmt.Errorf("gossip: looking for %s from %s: %w", name, from, err))
			}
		})
	}
	work.Wait()
	return out, errors.Join(errs...)
}

// unicastAnswers is the bit of a question's class that asks for answers to the asker alone (RFC 6762, section 5.4).
const unicastAnswers = 1 << 15

// mdnsGroups are where all who answer listen.
var mdnsGroup4, mdnsGroup6 = netip.MustParseAddr("224.0.0.251"), netip.MustParseAddr("ff02::fb")

// askFrom lists one address of each kind of every network: IPv4, and link-local IPv6 with its zone.
func askFrom() (out []netip.Addr) {
	for _, x := range networks() {
		addrs, err := x.Addrs()
		if err != nil {
			continue
		}
		var four, six bool
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			switch ip := p.Addr().Unmap(); {
			case ip.Is4() && !four:
				four, out = true, append(out, ip)
			case ip.Is6() && ip.IsLinkLocalUnicast() && !six:
				six, out = true, append(out, ip.WithZone(x.Name))
			}
		}
	}
	return out
}

// askFor sends a question from an address and collects the answers until ctx ends.
func askFor(ctx context.Context, from netip.Addr, packet []byte, service string) (out []netip.AddrPort, err error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	group := mdnsGroup4
	if from.Is6() {
		group = mdnsGroup6.WithZone(from.Zone())
	}
	if _, err := conn.WriteToUDPAddrPort(packet, netip.AddrPortFrom(group, mdnsPort)); err != nil {
		return nil, err
	}
	buf := make([]byte, maxDatagram)
	for len(out) < maxTargets {
		n, err := conn.Read(buf)
		if ctx.Err() != nil {
			break // it was closed
		}
		if err != nil {
			return out, err
		}
		var answer dns.Msg
		if answer.Unpack(buf[:n]) == nil && answer.Response {
			out = append(out, nodesIn(&answer, service)...)
		}
	}
	return out, nil
}

const (
	mdnsPort    = 5353
	maxDatagram = 64 << 10
)

// nodesIn reads an answer: where nodes of a service are. An address that counts on one network only is passed over, since
// gossip can't tell it.
func nodesIn(answer *dns.Msg, service string) (out []netip.AddrPort) {
	records := slices.Concat(answer.Answer, answer.Extra)
	for _, r := range records {
		srv, ok := r.(*dns.SRV)
		if !ok || srv.Port == 0 || !strings.HasSuffix(strings.ToLower(srv.Hdr.Name), "."+strings.ToLower(service)) {
			continue
		}
		for _, r := range records {
			var raw net.IP
			switch r := r.(type) {
			case *dns.A:
				raw = r.A
			case *dns.AAAA:
				raw = r.AAAA
			}
			ip, ok := netip.AddrFromSlice(raw)
			if ip = ip.Unmap(); !ok || r.Header().Name != srv.Target || ip.Is6() && ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
				continue
			}
			out = append(out, netip.AddrPortFrom(ip, srv.Port))
		}
	}
	return out
}
