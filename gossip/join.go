package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Join contacts nodes, given as host:port (the port defaults to 7946), and merges
// this node's cluster with theirs. It returns how many it reached; one is enough,
// so that an error with n > 0 is only a report. This node's own address is
// skipped. Events of before are ignored (rule E1).
//
// Names are looked up first, at most 5 seconds each. One unreachable address may
// take 10 seconds of TCP timeouts. When ctx ends earlier Join returns its error,
// and what was begun goes on behind until Shutdown. Serf makes one join at a time.
func (p *Pool) Join(ctx context.Context, addrs []string) (n int, err error) {
	targets, errs := p.joinTargets(ctx, addrs)
	if len(targets) == 0 {
		return 0, errors.Join(errs...)
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	begun := p.life.begin(&p.work, func() {
		n, err := p.agent.Join(targets, false)
		done <- result{n, err}
	})
	if !begun {
		return 0, fmt.Errorf("gossip: join %v: this node is shutting down", targets)
	}
	select {
	case r := <-done:
		if r.err != nil {
			errs = append(errs, fmt.Errorf("gossip: join %v: %w", targets, r.err))
		}
		return r.n, errors.Join(errs...)
	case <-ctx.Done():
		return 0, fmt.Errorf("gossip: join %v: %w", targets, ctx.Err())
	}
}

// joinTargets resolves addresses to ip:port. We do it instead of memberlist, which
// would ask the name server over TCP first, without a bound of the caller's.
func (p *Pool) joinTargets(ctx context.Context, addrs []string) (targets []string, errs []error) {
	own := p.Addr()
	for _, addr := range addrs {
		host, port, err := splitAddr("join", addr, "127.0.0.1", DefaultPort)
		var ips []netip.Addr
		if err == nil {
			ips, err = resolve(ctx, "join", host)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, ip := range ips {
			if target := net.JoinHostPort(ip.String(), strconv.Itoa(int(port))); target != own {
				targets = append(targets, target)
			}
		}
	}
	return targets, errs
}
