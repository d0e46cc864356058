package node

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// bound are the addresses of this machine that an operator has named for this broker to listen on. A socket says nothing when
// the machine loses its address: packets just come no more. The broker does not listen elsewhere by itself then, where perhaps
// nobody may reach it; it says so, and goes on when the address is back.
type bound struct {
	log   *slog.Logger
	addrs []boundAddress
	why   atomic.Pointer[string] // see lost
}

// boundAddress is one of them.
type boundAddress struct {
	flag string // that names it, without dashes
	ip   netip.Addr
	had  bool // the machine has had it: one that it never had, as behind some balancers, is not missed
	lost bool
}

// newBound takes the addresses that a broker's flags name; an address that several name counts once.
func newBound(log *slog.Logger, cfg *Config) *bound {
	b := &bound{log: log}
	for _, x := range []struct{ flag, addr string }{{"bind", cfg.Bind}, {"http-addr", cfg.HTTPAddr}, {"rpc-addr", cfg.RPCAddr}} {
		host, _, _ := net.SplitHostPort(x.addr) // it was checked, and is "-" where there is none
		ip, err := netip.ParseAddr(host)
		if ip = ip.Unmap().WithZone(""); err != nil || ip.IsUnspecified() || ip.IsLoopback() {
			continue
		}
		if !slices.ContainsFunc(b.addrs, func(a boundAddress) bool { return a.ip == ip }) {
			b.addrs = append(b.addrs, boundAddress{flag: x.flag, ip: ip})
		}
	}
	return b
}

// look compares them with the addresses that the machine has, and reports whether one is back.
func (b *bound) look(own []netip.Addr) (back bool) {
	var lost []string
	for i := range b.addrs {
		a := &b.addrs[i]
		has := slices.Contains(own, a.ip)
		switch {
		case has && a.lost:
			b.log.Info("this machine has the address again that this broker listens on", "flag", "--"+a.flag, "addr", a.ip.String())
			back = true
		case !has && a.had && !a.lost:
			b.log.Error("this machine has lost the address that this broker listens on: nobody reaches it there. It goes on when the address is back; "+
				"where the machine has another one for good, restart the broker with that, or with --bind 0.0.0.0:7946, which follows", "flag", "--"+a.flag, "addr", a.ip.String(), "has", others(own))
		}
		a.had = a.had || has
		if a.lost = a.had && !has; a.lost {
			lost = append(lost, fmt.Sprintf("--%s %s", a.flag, a.ip))
		}
	}
	var why string
	if len(lost) > 0 {
		why = fmt.Sprintf("nobody reaches this broker: its machine has lost the address of %s", strings.Join(lost, " and of "))
	}
	b.why.Store(&why)
	return back
}

// lost says, for people, which address is missing; "" when none is. It may be called from any goroutine.
func (b *bound) lost() string {
	if why := b.why.Load(); why != nil {
		return *why
	}
	return ""
}

// others lists the addresses of a machine that other machines may reach.
func others(own []netip.Addr) (out []string) {
	for _, ip := range own {
		if !ip.IsLoopback() && untellable(ip.String()) == "" {
			out = append(out, ip.String())
		}
	}
	return out
}
