package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Join contacts nodes, given as host:port (the port defaults to 7946), and merges this node's cluster with
// theirs. It returns how many nodes it reached. One is enough, so with n > 0 an error only reports the
// others. It claims this node's name first, and joins nobody if that is taken: see Claim. This node's own address is skipped. Earlier events of the other cluster are ignored (rule E1).
//
// Names are looked up first, which takes at most 5 seconds each. An unreachable address may take 10 seconds
// until TCP gives up. When ctx ends earlier, Join returns its error, and the join continues in the background
// until Shutdown. Serf runs one join at a time.
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
		moved, err := p.claim(ctx, targets)
		if err != nil {
			done <- result{0, err}
			return
		}
		n, err := p.agent.Join(targets, false)
		if moved && n > 0 {
			p.announceAgain(targets)
		}
		done <- result{n, err}
	})
	if !begun {
		return 0, fmt.Errorf("gossip: joining %v: this node is shutting down", targets)
	}
	select {
	case r := <-done:
		if r.err != nil {
			errs = append(errs, fmt.Errorf("gossip: joining %v: %w", targets, r.err))
		}
		return r.n, errors.Join(errs...)
	case <-ctx.Done():
		return 0, fmt.Errorf("gossip: joining %v: %w", targets, ctx.Err())
	}
}

// joinTargets resolves addresses to ip:port. memberlist would do that, too, but would ask the name server
// over TCP first, without the caller's deadline.
func (p *Pool) joinTargets(ctx context.Context, addrs []string) (targets []string, errs []error) {
	own := p.Addr()
	for _, addr := range addrs {
		host, port, err := splitAddr("join", addr, "127.0.0.1", defaultPort)
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
