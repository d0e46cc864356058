package gossip

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Join contacts the nodes that entries name ([CheckEntry]), and merges this node's cluster with theirs. It returns how
// many others it reached: one is enough, so with n > 0 an error only reports the rest. It claims this node's name first,
// and joins nobody if that is taken: see Claim. This node itself does not count, whatever address of it is named. Earlier
// events of the other cluster are ignored (rule E1).
//
// Names are looked up first, which takes at most 5 seconds each. An unreachable address may take 10 seconds
// until TCP gives up. When ctx ends earlier, Join returns its error, and the join continues in the background
// until Shutdown. Serf runs one join at a time.
func (p *Pool) Join(ctx context.Context, entries []string) (n int, err error) {
	targets, unknown := p.Targets(ctx, entries)
	if len(targets) == 0 {
		return 0, unknown
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	begun := p.life.begin(&p.work, func() {
		claimed, err := p.claim(ctx, targets)
		if err != nil {
			done <- result{0, err}
			return
		}
		if len(claimed.others) == 0 {
			done <- result{0, errors.New("this node itself answers there, and nobody else")}
			return
		}
		n, err := p.agent.Join(claimed.others, false)
		if err != nil {
			err = errors.New(explained(oneLine(err.Error())))
		}
		if claimed.moved && n > 0 {
			p.announceAgain()
		}
		done <- result{n, err}
	})
	if !begun {
		return 0, fmt.Errorf("gossip: joining %v: this node is shutting down", targets)
	}
	select {
	case r := <-done:
		if r.err != nil {
			unknown = errors.Join(unknown, fmt.Errorf("gossip: joining %v: %w", targets, r.err))
		}
		return r.n, unknown
	case <-ctx.Done():
		return 0, fmt.Errorf("gossip: joining %v: %w", targets, ctx.Err())
	}
}

// explained says what answers at an address that is none of gossip, where the way in which the library failed shows that.
func explained(text string) string {
	switch {
	case strings.Contains(text, "invalid msgType (72)"): // the H of HTTP/1.1
		return text + ": an HTTP server answers there; name the port of its gossip, which is 7946 unless said otherwise"
	case strings.HasSuffix(text, "EOF"):
		return text + ": what answers there has hung up; it may be another service's port (gossip has 7946, unless said otherwise), or a broker of a city, which takes those in that have an invite (`ucp cluster invite`)"
	}
	return text
}
