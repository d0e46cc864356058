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

// addresses works out what peers are told. Host is that of the gossip where the broker roams; HTTP is bound.
func (n *Node) addresses(host string) (told, error) {
	t := told{gossip: n.cfg.Advertise}
	if n.cfg.roams() {
		t.gossip = net.JoinHostPort(host, "0")
	}
	at := n.cfg.addresses()
	var err error
	t.http, err = at.http(n.listener.Addr().String(), net.JoinHostPort(at.gossipHost(host), "0"))
	return t, err
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

// addressEvery is how often a broker looks whether it still has the address that its peers were told.
const addressEvery = 2 * time.Second

// watchAddresses moves the broker to another address when its own has gone, or gives it one that had none.
func (n *Node) watchAddresses(ctx context.Context) error {
	if !n.cfg.roams() {
		return nil
	}
	t := time.NewTicker(addressEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			n.settle(nil)
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
		n.move(has, to)
	}
}

// move begins the gossip anew at another address. To the others it is as if the broker had been restarted there within
// moments (rule G2), since memberlist has one address for life; but nothing else of it has ended.
func (n *Node) move(from netip.AddrPort, to netip.Addr) {
	t, err := n.addresses(to.String())
	if err != nil {
		n.log.Error("this machine's address has changed, and peers can't be told the new one", "to", to.String(), "error", err)
		return
	}
	bind, _, _ := net.SplitHostPort(n.cfg.Bind)
	_, port, _ := net.SplitHostPort(n.members.pool.Load().Addr())
	old := n.members.pool.Load()
	n.log.Warn("this machine's address has changed; the others are told", "from", from.Addr().String(), "to", to.String())
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
		n.log.Error("beginning the gossip at the new address; again in a second", "error", err)
		select {
		case <-time.After(time.Second):
		case <-n.life.ctx.Done():
			return
		}
	}
	n.engine.Tell(broker.Moved{HTTPAddr: t.http})
	n.members.seekNow()
}
