package node

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/gossip"
)

// told are the addresses that peers are told.
type told struct {
	gossip string // port 0 is the one that is bound; "" is what is bound
	http   string
}

// roams reports whether the broker chooses its address itself: it listens on all of its machine's, and was not told which.
func (c *Config) roams() bool {
	at := c.addresses()
	return at.gossipHost("") == ""
}

// advertisedName is the host name that peers are told for gossip, and its port; "" where they are told an address, or what is bound.
func (c *Config) advertisedName() (name, port string) {
	host, port, err := net.SplitHostPort(c.Advertise)
	if _, notIP := netip.ParseAddr(host); err != nil || notIP == nil {
		return "", ""
	}
	return host, port
}

// addresses works out what peers are told. Host is that of the gossip where the broker roams, or is known by a name; HTTP is
// bound.
func (n *Node) addresses(host string) (told, error) {
	t := told{gossip: n.cfg.Advertise}
	if n.cfg.roams() {
		t.gossip = net.JoinHostPort(host, "0")
	}
	if name, port := n.cfg.advertisedName(); name != "" {
		t.gossip = net.JoinHostPort(host, port)
	}
	at := n.cfg.addresses()
	var err error
	t.http, err = at.http(n.listener.Addr().String(), net.JoinHostPort(at.gossipHost(host), "0"))
	return t, err
}

// firstAddress is the host of the gossip that peers are told at first, where the broker roams or is known by a name. While a
// name can't be looked up it is what is bound, or an address of the machine: after a power cut the name server may come later.
func (n *Node) firstAddress(toward []string) string {
	if name, _ := n.cfg.advertisedName(); name != "" {
		if found := n.lookUpOwn(name); len(found) > 0 {
			return found[0].String()
		}
		bound := Addresses{Bind: n.cfg.Bind}
		return bound.gossipHost(n.choose(toward).String())
	}
	return n.choose(toward).String()
}

// lookUpOwn looks up the name by which peers know this broker, and logs when that begins to fail, and when it ends.
func (n *Node) lookUpOwn(name string) []netip.Addr {
	found, err := gossip.LookUp(n.life.ctx, name)
	switch failed := err != nil; {
	case n.life.ctx.Err() != nil || failed == n.nameless:
	case failed:
		n.log.Warn("the name in --advertise can't be looked up: the others know this broker by the address that it had; this is tried again without end, and in silence", "name", name, "error", err)
		n.nameless = true
	default:
		n.log.Info("the name in --advertise can be looked up again", "name", name)
		n.nameless = false
	}
	return found
}

// choose picks the address of this machine that peers are told where the broker roams: that on the way to one of them.
func (n *Node) choose(toward []string) netip.Addr {
	bind, _, _ := net.SplitHostPort(n.cfg.Bind) // it was checked
	for _, entry := range toward {
		if peer, plain := gossip.Plain(entry); plain {
			if way := wayTo(n.life.ctx, peer); way.IsValid() && !way.IsLoopback() {
				return chooseAddress(bind, way, machineAddresses())
			}
		}
	}
	return chooseAddress(bind, netip.Addr{}, machineAddresses())
}

// How often a broker looks whether it still has the addresses that its peers were told, and those that it listens on; and
// asks for the address of its own name.
const (
	addressEvery = 2 * time.Second
	nameEvery    = 5 * time.Second
)

// watchAddresses moves the broker to another address when its own has gone, or gives it one that had none, and says when it
// can't be reached any more where an operator wants it to listen.
func (n *Node) watchAddresses(ctx context.Context) error {
	name, _ := n.cfg.advertisedName()
	t := time.NewTicker(addressEvery)
	defer t.Stop()
	asked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		n.settle(nil)
		if n.bound.look(machineAddresses()) {
			n.members.seekNow()
		}
		if name != "" && time.Since(asked) >= nameEvery {
			n.follow(n.lookUpOwn(name))
			asked = time.Now()
		}
	}
}

// settle moves the broker to the address of its machine that is on the way to those named, if it is alone; and in any case
// if what it has is not the machine's any more, or none that others reach. Without any other it stays where it was, which
// may come back.
func (n *Node) settle(toward []string) {
	if !n.cfg.roams() {
		return
	}
	n.moving.Lock()
	defer n.moving.Unlock()
	has, err := netip.ParseAddrPort(n.members.pool.Load().Addr())
	if n.life.leaving.Err() != nil || err != nil {
		return
	}
	kept := slices.Contains(machineAddresses(), has.Addr())
	if kept && (n.members.company() || toward == nil && reach(has.Addr()) < reachLinkLocal) {
		return
	}
	if toward == nil {
		toward = n.known.addrs(nil)
	}
	if to := n.choose(toward); to != has.Addr() && !to.IsLoopback() {
		n.move(has, to, "this machine's address has changed; the others are told")
	}
}

// follow moves the broker to an address of the name by which peers know it, unless it is at one.
func (n *Node) follow(found []netip.Addr) {
	n.moving.Lock()
	defer n.moving.Unlock()
	has, err := netip.ParseAddrPort(n.members.pool.Load().Addr())
	if n.life.leaving.Err() != nil || err != nil || len(found) == 0 || slices.Contains(found, has.Addr()) {
		return
	}
	n.move(has, found[0], "the name in --advertise has another address; the others are told")
}

// move shuts the gossip down and starts it at another address. To the others it is as if the broker had been restarted
// there within moments (rule G2), since memberlist has one address for life; but nothing else of it has ended.
func (n *Node) move(from netip.AddrPort, to netip.Addr, why string) {
	t, err := n.addresses(to.String())
	if err != nil {
		n.log.Error("this broker's address has changed, and peers can't be told the new one", "to", to.String(), "error", err)
		return
	}
	bind, _, _ := net.SplitHostPort(n.cfg.Bind)
	old := n.members.pool.Load()
	port := old.BoundPort()
	n.log.Warn(why, "from", from.Addr().String(), "to", to.String())
	n.members.ended.Store(old)
	defer n.members.movedNow()
	rpc := old.RPCAddr()
	if err := old.Shutdown(); err != nil {
		n.log.Warn("ending the gossip at the old address", "error", err)
	}
	n.told.Store(&t)
	for {
		_, err := n.startGossip(net.JoinHostPort(bind, port), rpc)
		if err == nil {
			break
		}
		if n.life.ctx.Err() != nil {
			return
		}
		n.log.Error("starting the gossip at the new address; again in a second", "error", err)
		select {
		case <-time.After(time.Second):
		case <-n.life.ctx.Done():
			return
		}
	}
	n.engine.Tell(broker.Moved{HTTPAddr: t.http})
	n.members.seekNow()
}
